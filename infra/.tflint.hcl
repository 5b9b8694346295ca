# The ruleset that tflint brings along, every rule on. The rulesets for AWS and Google are plugins that it downloads:
# add them where that is possible.
plugin "terraform" {
  enabled = true
  preset  = "all"
}
