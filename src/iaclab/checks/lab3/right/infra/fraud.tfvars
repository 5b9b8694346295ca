team  = "fraud"
nodes = 4
