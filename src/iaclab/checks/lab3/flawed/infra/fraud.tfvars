team  = "fraud"
nodes = 12
