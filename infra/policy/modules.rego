# What every module keeps to, whatever it builds. Input: one .tf file, as `conftest test --parser hcl2` reads it.
package main

import rego.v1

deny contains message if {
	some name, blocks in input.variable
	some block in blocks
	some wanted in ["type", "description"]
	object.get(block, wanted, "") == ""
	message := sprintf("variable \"%s\" has no %s", [name, wanted])
}

deny contains message if {
	some name, blocks in input.output
	some block in blocks
	object.get(block, "description", "") == ""
	message := sprintf("output \"%s\" has no description", [name])
}

deny contains message if {
	some terraform in input.terraform
	some providers in terraform.required_providers
	some name, provider in providers
	not bounded(object.get(provider, "version", ""))
	message := sprintf("provider \"%s\" has no upper bound: its next major version would be taken unseen", [name])
}

deny contains message if {
	some terraform in input.terraform
	terraform.required_providers
	not bounded(object.get(terraform, "required_version", ""))
	message := "required_version has no upper bound"
}

deny contains message if {
	input.provider
	contains(data.conftest.file.dir, "modules/")
	message := "a module configures no provider: its caller does, once for all modules"
}

bounded(constraint) if contains(constraint, "<")

bounded(constraint) if contains(constraint, "~>")

bounded(constraint) if regex.match(`^=?\s*[0-9]`, constraint)
