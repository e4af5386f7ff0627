// Package planfile reads and writes rollout plans as YAML or JSON files: canary, blue-green,
// shadow, A/B and rolling deployments, with approvals, windows, checks and analysis.
//
//	apiVersion: serin/v1
//	target: chat
//	baseline: {version: "1.5.0"}
//	candidate: {version: "1.6.0", model: chat}
//	strategy:
//	  sequence:
//	    - shadow: {share: 5%, bake: 30m}
//	    - canary: {weights: [1%, 10%, 50%], bake: 30m, approve: {roles: [sre], four_eyes: true}}
//	analysis: {metrics: [errors, {ttft: {margin: "+10%"}}], unit: user}
//	monitor: 24h
//
// A field has the name of the field of [rollout.Plan], or of the type below it, in lower case
// with underscores. Durations have a unit ("30m"), shares of traffic a percent sign ("5%"),
// times are in RFC 3339, versions are quoted. A strategy is an object with one member: canary,
// shadow, bluegreen, ab, rolling or sequence; or stages are listed in its place. The weights
// of a canary are a list, or {exponential: {factor: 10, steps: 4}}, or
// {linear: {to: 50%, steps: 5}}.
//
// A metric is the name of a ready-made one, or an object with its name and what differs:
// {ttft: {role: guard}}. A metric with a kind is one of your own, whose function the engine
// has in [rollout.Config]. Its margins are "x1.2" for a factor, "+20%" for a factor of an
// amount, "+0.3pp" for percentage points of a rate, "+0.05" for points of a score, or an
// object.
//
// # A plan is what it says
//
// Reading is strict, because what is not understood would not be carried out. Unknown and
// repeated fields, empty values, numbers in place of versions, shares and durations, tabs,
// several documents, anchors, aliases, merge keys, tags, text that changes the direction of
// writing, more than [MaxSize] bytes, more than 32 levels and lists of more than 1,000 items are
// refused, in JSON too. Read returns all problems, also the problems of
// [rollout.Plan.Validate], ordered by line.
//
// # What belongs here
//
// The text form of plans. What a plan means belongs to package rollout; reading files and
// sending plans to a server belong to the program.
//
// # Dependencies
//
// go.yaml.in/yaml/v3, one module without dependencies of its own, because the standard
// library does not read YAML. It gives the line and the column of each value.
package planfile
