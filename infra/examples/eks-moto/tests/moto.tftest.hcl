# Real API calls of the official provider, to a moto server on this machine:
#     MOTO_IAM_LOAD_MANAGED_POLICIES=true moto_server -p 5000 &
#     TF_VAR_endpoint=http://127.0.0.1:5000 terraform test
run "the_api_takes_what_the_modules_send" {
  command = apply

  assert {
    condition     = output.cluster_name == "ml-moto" && startswith(output.endpoint, "https://")
    error_message = "The cluster is there and has an endpoint."
  }

  assert {
    condition     = startswith(output.node_groups["inference"], "ml-moto-inference-")
    error_message = "The node group is there, with the pool's name as its prefix."
  }
}
