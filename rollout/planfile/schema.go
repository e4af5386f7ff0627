package planfile

import _ "embed" // for Schema

// Schema is the JSON Schema of plan files (draft 2020-12), for editors and other validators.
// It describes the fields and their forms; what [rollout.Plan.Validate] demands beyond that is
// for [Read] to find. Do not change it.
//
//go:embed serin-plan.schema.json
var Schema []byte
