"""A small server that speaks the API of HCP Terraform and Terraform Enterprise, for teaching.

`terraform`'s own ``cloud {}`` block talks to it: init, plan and apply run remotely with the real binary, logs stream,
state is kept and locked, policies are checked, and the messages are the CLI's own.

It speaks, of API version 2 (JSON:API, bearer token): ping, entitlement set, workspaces (list, create, read, update,
delete, tags, lock, unlock, force-unlock), variables, state versions (inline and by upload URL) and their outputs,
configuration versions, runs (plan, apply, destroy, refresh-only, targets, replacements, run variables, saved plans;
confirm, discard, cancel), plan and apply logs, JSON plans, policy checks with override. One run at a time for each
workspace; plan-only runs do not wait. Execution mode is remote or local.

It does not speak: users and teams (there is one token, which may do everything), more than one organization, projects,
version control, agents, run tasks, cost estimates, the private registry, variable sets, policy sets over the API,
notifications, structured run output, redacted plans (a saved plan is shown with `terraform show -json` only), generated
configuration. A request for these gets 404 or 422, never a made-up answer. There are no web pages: the address that
the CLI prints for a run is only a name here. A planned run that nobody confirms holds its workspace's queue, as on HCP
Terraform; `POST $TFE_ADDRESS/api/v2/runs/RUN/actions/discard` with the token gives it up.

The same configuration works on HCP Terraform. It names neither host nor organization::

    terraform {
      cloud {
        workspaces { name = "ml-platform-dev" }
      }
    }

Here the lesson's environment says where: TF_CLOUD_HOSTNAME, TF_CLOUD_ORGANIZATION, and in the CLI configuration a
``host`` block (in place of service discovery, which needs a public name and TLS) and the credentials. On HCP
Terraform: leave TF_CLOUD_HOSTNAME unset, set TF_CLOUD_ORGANIZATION to your organization, run `terraform login`.
Policies lie in the folder TFE_POLICIES. A Sentinel policy set is a folder with a sentinel.hcl, as there (TFE_POLICIES
itself, or one in it); IaC Lab's interpreter evaluates it (`iaclab.sentinel`). Rego files have `input.plan` and
`input.run` as there; a policy set on HCP Terraform lists them in its policies.hcl with the query `data.<package>.deny`
and the enforcement level, which stands in the file's metadata here. Both are shown in one check, in the form of a
Sentinel policy check with its three levels.
"""
