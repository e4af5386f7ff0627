// Package serin documents a library for progressive delivery of LLM versions inside
// a Go service: canary releases, A/B tests, blue-green and shadow deployments of
// generative-AI models, with load tests, checks and an audit trail. It has no code.
//
// The router splits live traffic and measures every request. The analysis turns
// measurements into a verdict, and a strategy turns the verdict into a decision. The
// engine stores the decision, and then changes the split.
//
// # Packages
//
// Rollouts, and where they are stored:
//
//   - rollout: the engine that carries a plan through its stages: commands,
//     approvals, freeze windows, events, one process or many
//   - rollout/access: role-based access control, one-time passwords and recovery codes
//   - rollout/access/oidc: sign-in by OpenID Connect (a module)
//   - rollout/access/webauthn: passkeys and security keys (a module)
//   - rollout/access/cedar: policies in the language Cedar (a module)
//   - rollout/alert: alerts about rollouts: routes, grouping, silences, security events
//   - rollout/alert/notify: Alertmanager, PagerDuty, Slack, Teams, Discord, mail, webhooks
//   - rollout/audit: verification, signed checkpoints, exports and archives of the
//     audit trail
//   - rollout/ledger: a tamper-evident record of votes, waivers, reviews and refusals,
//     and bundles of evidence for auditors
//   - rollout/planfile: rollout plans in YAML and JSON files, with a JSON Schema
//   - rollout/privacy: redaction of personal data in token streams, fields sealed per
//     person, erasure
//   - rollout/privacy/duties: requests of data subjects with clocks, retention
//   - rollout/privacy/tuning: feedback that may be used for tuning: consent, k-anonymity
//   - rollout/audit/audittest: a conformance suite for anchors that keep checkpoints
//   - rollout/rolloutotel: traces and metrics of rollouts for OpenTelemetry
//   - rollout/boltstore: a store in one file, for one process
//   - rollout/pgstore: a store in PostgreSQL, for many processes (a module)
//   - rollout/natsstore: a store in a NATS JetStream bucket, for many processes (a
//     module)
//   - rollout/memstore: a store in memory, for tests
//   - rollout/registrystore: the model registry in a store, with what is in production
//   - rollout/envfile: the settings of a service from a configuration file
//   - rollout/sealedstore: encryption at rest for any store
//   - rollout/storetest: a conformance suite for stores
//   - rollout/report: the report of a rollout as HTML, Markdown and JSON
//   - rollout/console: web pages of rollouts, with approvals, abort and live updates
//   - rollout/console/api: the HTTP API of the console, described by OpenAPI
//   - rollout/console/client: a client of the HTTP API, with the types of its JSON
//   - rollout/rollouttest: conformance suites for splitters, sinks, observers and anchors
//   - rollout/storetest/proctest: tests of a store with processes that are killed
//   - rollout/storetest/etcd: the suite over etcd (a module with tests only)
//
// Traffic splitting:
//
//   - rollout/traffic: a router and reverse proxy that splits, measures, mirrors and
//     falls back
//   - rollout/traffic/autoscale: how many replicas each version needs
//   - rollout/traffic/replicas: load balancing over the servers of one version
//   - rollout/traffic/cache: a cache of answers to equal requests
//   - rollout/traffic/apikeys: API keys of callers, with teams and budgets
//   - rollout/traffic/cost: price books, cost ledgers and budgets per tenant
//   - rollout/traffic/sticky: session affinity
//   - rollout/traffic/trafficprom: metrics of the router for Prometheus
//   - rollout/traffic/trafficotel: metrics and traces of the router for OpenTelemetry (a
//     module)
//   - rollout/traffic/traffictest: a conformance suite for stores of session affinity
//   - rollout/drill: rehearsals of autoscaler, load balancer, cache, dead replicas, access
//     control, encryption and redaction
//   - rollout/haproxy: splits in HAProxy
//   - rollout/nginx: splits in nginx
//   - rollout/httproute: splits in the HTTPRoutes of a Kubernetes gateway
//
// Decisions:
//
//   - strategies: canary, blue-green, A/B, shadow and rolling deployments, as data
//     and one pure function
//   - checks: checks that gate a stage and fail closed
//   - checks/checkstest: conformance suites for checks and sources of metrics
//   - strategies/strategytest: a conformance suite for strategies
//   - checks/analysis: statistical canary analysis of live traffic
//   - checks/analysis/answer: what a response of an LLM API contains, and whether it
//     is complete
//   - checks/anomaly: anomalies in time series: robust z-scores, EWMA, CUSUM, rhythm of the week
//   - checks/burn: SLO error budgets and burn rates
//   - checks/health: liveness, readiness and startup probes, and graceful shutdown
//   - checks/health/grpchealth: these probes by the gRPC health protocol (a module)
//   - checks/checklist: the deployment checklist as code, with evidence, waivers and reports
//   - checks/checklist/packs: the controls of GDPR, CCPA, EU AI Act, NIST AI RMF, ISO 42001
//     and SOC 2 as data, and which of them a checklist covers
//   - checks/people: on-call rosters without holes, training, reachable escalation contacts
//   - checks/probe: checks of HTTP, TLS, DNS, SQL, disks, clocks, metrics and model servers
//   - checks/drift: whether prompts and answers have moved since a model was tuned
//   - checks/satisfaction: what users say about each version: CSAT, thumbs, NPS
//   - checks/release: checks of test results, evaluations, documents, versions, changelogs,
//     builds and model files
//   - checks/external: metrics that are measured elsewhere
//   - checks/external/prometheus: a source of metrics in Prometheus
//
// Load tests:
//
//   - loadtest: open-loop load tests of token streams, as a check that gates a stage
//   - loadtest/pace: schedules: constant, Poisson, ramps, shards of a schedule
//   - loadtest/workload: prompts, conversations, traces and HTTP requests
//   - loadtest/compat: metrics as other tools define them, and reports of vegeta
//   - loadtest/cluster: one load test from many machines
//   - loadtest/cluster/natscluster: its workers over NATS (a module)
//   - loadtest/cluster/clustertest: a conformance suite for their connections
//   - loadtest/loadprom: metrics of a load test for Prometheus
//   - loadtest/loadotel: metrics of a load test for OpenTelemetry
//   - loadtest/plantest: conformance suites for schedules and workloads
//   - loadtest/modeltest: a small LLM server for tests
//
// Versions:
//
//   - versioning: semantic versions, npm ranges and Conventional Commits
//   - versioning/changelog: the next version, release notes and changelogs
//   - versioning/gitlog: commits and tags of a git repository
//   - versioning/model: manifests of model versions, and how large a change is
//   - versioning/registry: one digest per version of a model, and aliases
//   - versioning/registry/registrytest: a conformance suite for registries
//
// # Example
//
// Version 1.4.0 is live, and 1.5.0 is to replace it:
//
//	router, err := traffic.New(traffic.Config{
//		Arms: map[string]traffic.Backend{
//			"1.4.0": {URL: "http://10.0.0.14:8000"},
//			"1.5.0": {URL: "http://10.0.0.15:8000"},
//		},
//		Split: strategies.Split{Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Full}}},
//	})
//	...
//	store, err := boltstore.Open("serin.db")
//	...
//	engine, err := rollout.Open(ctx, rollout.Config{
//		Store:   store,
//		Targets: map[string]rollout.Splitter{"chat": router},
//	})
//	...
//	go http.ListenAndServe(":8080", router)
//	id, err := engine.Start(ctx, rollout.Plan{
//		Target:    "chat",
//		Baseline:  versioning.Release{Version: versioning.MustParse("1.4.0")},
//		Candidate: versioning.Release{Version: versioning.MustParse("1.5.0")},
//	}, rollout.Actor{Name: "ana"})
//	...
//	for event, err := range engine.Events(ctx, id, 1) {
//		log.Println(event, err) // ends with the outcome: promoted, or rolled back and why
//	}
//
// To see it work, run go run ./examples/quickstart in the repository.
package serin
