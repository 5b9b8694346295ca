"""An interpreter of the part of HashiCorp's Sentinel language that public policy libraries use.

Sentinel itself is not free software; this is IaC Lab's own reading of its public documentation. What it speaks:

- statements: assignment (`=`, `+=` …, to variables, fields and elements), `if`, `for`, `case`, `func`, `return`,
  `break`, `continue`, `import` with an alias, `param` with a default;
- expressions: rules (lazy, memoised, with `when`), `any`, `all`, `filter`, `map`, the operators and their precedence,
  `else`, slices, and undefined with its three-valued logic;
- the built-in functions append, bool, delete, error, float, int, keys, length, print, range, string, values;
- the imports collection, collection/maps, decimal, json, strings, types, and of Terraform tfplan/v2, tfconfig/v2,
  tfstate/v2, tfrun, made from what `terraform show -json` says;
- `sentinel.hcl` and test cases in HCL or JSON: policy, param, global, mock, module, import, test.

It does not speak the imports http, time, version, sockaddr, units, base64 and runtime, the first generation of
Terraform's imports, remote sources, plugins, or `sentinel fmt`. A policy is not trusted to end: steps, depth, sizes and
seconds are bounded (`limits`).
"""
