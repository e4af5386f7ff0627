// Package traffic is a router and reverse proxy for canary releases, A/B tests and shadow
// traffic of LLM versions. Its [Router] splits live requests, token streams included,
// between versions of a model and measures every request:
//
//	router, err := traffic.New(traffic.Config{
//		Arms: map[string]traffic.Backend{
//			"1.4.0": {URL: "http://10.0.0.14:8000"},
//			"1.5.0": {URL: "http://10.0.0.15:8000"},
//		},
//		Split: strategies.Split{Arms: []strategies.Arm{
//			{Name: "1.4.0", Weight: strategies.Percent(95)},
//			{Name: "1.5.0", Weight: strategies.Percent(5)},
//		}},
//	})
//	...
//	http.ListenAndServe(":8080", router)
//
// # Three shapes
//
// A Router is an [http.Handler] in front of any handlers, with [Proxy] for the
// backends that are servers elsewhere. [Router.RoundTripper] is for services that
// call models themselves: it spares the hop. [Router.Assign] is for everything
// else, queues and gRPC and vendors' clients, and takes the outcome by hand. All
// three share one split, one measurement and one rule that picks the arm.
//
// # How requests are sent
//
// A version with a URL and without a Transport is asked by a client of this module,
// which writes a request and reads its answer in the goroutine of the handler. It takes
// requests over HTTP/1.1 with a body in memory: up to [Config].MaxBody, or up to 64 KiB
// of known length for a [Proxy] without a Router. A transport of net/http takes all
// others: upgrades, larger bodies, HTTP/2, and servers that a proxy of the environment
// leads to.
//
// The client refuses answers that are malformed, or that two readers could take for
// different ones, such as one with both Content-Length and Transfer-Encoding. The caller
// gets a 502, or the baseline's answer; the observation says "bad response"; and the
// connection is not used again. Where a server depends on such answers, [NetHTTP] as its
// Transport leaves it to net/http. SERIN_HOP=off in the environment, read by [New],
// [Router.SetBackend] and [Proxy], does so for all.
//
// # Which arm serves a request
//
// The unit of assignment (a user, a session, a tenant; see [Config].Unit) is
// hashed once with xxHash64, mixed with the hash of the split's salt, and mapped
// to one of 10,000 slots by multiplication. Equal units get equal arms, on every
// replica; a rising weight only ever adds units to a candidate; two salts give
// unrelated cohorts. The algorithm is part of the interface and does not change.
// A split may carry a table that moves the fewest users when the weights of several
// candidates change ([strategies.Split.Follow]), and may name the hash of another
// tool, whose users then stay where they are ([strategies.Hash]).
//
// Before the weights come, in this order: an arm that the request forces, if
// [Config].MayForce says that it may; the rules of the split, about headers,
// cookies, the query, and the unit, tenant or conversation; and the layers
// ([Layer]), which keep a holdout from all experiments and the units of one
// experiment from another; and the arm that a [Sticky] remembers, if there is one:
// conversations may then end where they began. [Router.Kill] takes an arm out
// immediately.
//
// # What servers keep
//
// Files, batches, conversations and responses exist at one version alone. Requests to
// make one go to the baseline, except responses, which go by weight. The ids in
// answers are remembered ([Config].Pins): of a POST, PUT or PATCH on a route of
// [answer.Resource], of responses that the server stores, and of stored chats. They are
// the outermost members id and name (of Gemini), also in file and in response, within
// the first 64 KiB of a JSON document or a stream. Compressed answers are not read.
//
// A request about an id in its path goes to the version that made it, for as long as
// that has a backend: also while it is killed or has no traffic, and when the split
// has expired. New work from an id goes there only while the version serves. New work
// is an inference that continues a response or a conversation or uses a file
// ([answer.Ask].After), or a request that names a file in its body: outermost members
// whose names end in _id or _ids, training_file, validation_file. Otherwise the
// baseline takes it, and may answer that it does not know the id: a rollback does not
// wait for conversations to end. Only a forced arm goes before the id of an inference.
//
// A request for a response whose body is not read, such as one above [Config].MaxBody,
// may continue anything and counts as one with an id that is not known. Large requests
// to the other interfaces go by weight.
//
// A request about an id that is not known goes to the baseline. The ids of a version
// are no longer known when it is removed or gets another account. Requests that an id decides about
// are observed with [ByPin] and are not compared. Versions with equal [Backend].Account
// share their ids: nothing is pinned between them. Where an id is made twice, the last
// version counts.
//
// # Changes of the split
//
// [Router.SetSplit] stores one pointer. The next request sees the new split; a
// request that is being served ends where it began, and is counted under the
// generation that assigned it.
//
// What it ends with may be bounded: [Config].Drain says how long an arm may go on
// that has lost all traffic, [Router.Drained] waits until it is empty, and
// [Router.Generations] counts what is under way. A server that shuts down ends what is
// left with [ErrCut], as [Graceful] does: streams end with an error, and are counted.
//
// [Config].Exposed receives which unit met which arm and why, for analyses
// elsewhere. Arms that rules, the header Serin-Arm, layers or Kill have decided are marked
// apart from arms by chance, and are not compared.
//
// # What is measured
//
// Each request that asks a model gives exactly one [analysis.Observation]. Package
// checks/analysis/answer reads the response while it passes, each chunk without
// delay, and classifies it in a closed world: only a complete answer of the kind
// that the request asked for is OK, on the routes of the published interfaces of
// OpenAI, Azure, Anthropic, Gemini, Ollama, Cohere, TGI, vLLM, llama.cpp and others.
// Redirects, pages, errors inside a 200, unfinished choices, unknown finish reasons
// and answers of another form are failures, each with its [analysis.Class] and a
// stable reason. On a route that is not known, complete answers are
// [analysis.Unread], which raises no candidate's share; [Config].Routes and
// [Config].Classify teach the router other routes. Requests that do not ask a
// model, such as GET /v1/models, files and batches, are no observations.
//
// Latency begins when the request body is complete, so that a slow uploader does not
// look like a slow model. Times are taken before a chunk is handed on, and what a
// caller held up is taken out of those that follow
// ([analysis.Observation.ClientStall]). A caller who leaves before any content, or
// in a silence, makes the request [analysis.Abandoned], which counts against the
// arm in [analysis.Unanswered]; one who leaves a stream that flows does not.
//
// # Fallback
//
// When a candidate's answer fails before its first content, in whatever way, the
// baseline serves the same request. The caller gets a good answer, and in the
// response the version that gave it; the failure is reported once, against the
// candidate, as soon as the fallback is decided. To make that possible the beginning
// of a candidate's answer is held back: a stream until its first content, a document
// until its end, for at most [Config].PeekTimeout after the first byte. Request bodies
// are held up to [Config].MaxBody, and the header of an answer, of any arm, waits for
// the first byte of its body.
//
// A candidate's status from 400 to 499 may be the caller's fault. The baseline is
// asked for a second opinion: if it answers, the candidate was wrong, and the caller
// has the good answer; if it rejects the request as well, the class is
// [analysis.Rejected] and the caller gets the baseline's rejection.
// [Config].FallbackRatio bounds the load that all this adds to the baseline. The
// baseline's own failures pass through. Only requests that ask a model or read
// something fall back, since asking twice must not do anything twice. A request that
// continues what an id names falls back only to a baseline of the same account.
//
// # What each arm is sent
//
// [Backend].Model and Models set the name by which an arm knows its model, in live
// requests and in copies; [Backend].Header sets headers, such as the key of another
// vendor; [Backend].Credentials says whether callers' credentials are sent on, which
// they are not to another public host. The headers whose names begin with Serin- are
// between callers and the router: they reach no backend, and a backend cannot set
// them. Requests with effects are sent once: see [answer.Route] and
// [Config].AllowControl.
//
// # What it costs
//
// Each attempt at a request that has reached a server gives one [Charge]
// ([Config].Charged): the first one, retries and hedges of a pool, fallbacks, second
// opinions and copies. An error without output costs nothing. What the server does not
// report, because the stream was cut or the provider never says, is estimated from
// bytes of text by the arm's own ratio of bytes to tokens, and the charge says so. The
// cost in an observation is the assigned arm's first attempt alone, so that arms
// compare.
//
// An [Account] in the context of a request ([WithAccount]) pays for it. The router asks
// it to reserve what the request will cost at most before a server is asked. Package
// cost has a ledger and budgets by tenant.
//
// # Functions of the configuration
//
// A panic in one of them ends neither the process nor an answer; see [Router.Panics].
// Names of units, tenants and conversations are kept as they are up to 128 printable
// bytes, and as a hash beyond.
//
// # Time limits
//
// All have defaults, documented at [Config]: connecting (5 s), the first byte (60 s
// where a stream was asked, 10 min otherwise), patience with a candidate (10 times
// the baseline's 99th percentile, at least 5 s), silence within an answer (60 s
// without a byte, 5 min without content), and the body of a request (10 s without a
// byte). A request that meets a connection which its server has just closed is sent
// once more on a fresh one, and counted as [ArmStats].Stale, not as a failure.
//
// # Memory
//
// Bodies of requests are held up to [Config].MaxBody each and [Config].BodyMemory
// together. A body whose length is unknown is given room by and by, a quarter more each
// time. A request that finds no room gets a 503 with Retry-After and is counted in
// [Router.Unserved]; no arm is charged.
//
// The header of an answer may have 64 KiB and 200 lines. A larger one is a failure of
// its arm, and is not passed on. Trailers and informational answers beyond these
// bounds are dropped.
//
// # Shadow
//
// The mirrors of a split ([strategies.Shadow]) send copies of requests to an arm
// whose answers no caller sees. A copy has its own deadline and is dropped when there
// are too many; its answer is measured for the arm as any other, and the two
// answers to one request may be judged against each other; see [Mirroring] and
// [Router.Mirrors]. Copies ask for no tools unless [Mirroring].KeepTools is set,
// carry the header Serin-Mirror, and are neither in [Router.Stats] nor given to
// [Config].Observe.
//
// # Response headers
//
// Serin-Version names the arm that served, Serin-Request-Id the request, for
// feedback to refer to; it is the ID of the Observation. Neither is taken from
// the request.
//
// # Dependencies
//
// xxhash; of this module strategies, checks/analysis and checks/analysis/answer. It does not import package rollout, which
// hands it splits through [Router.SetSplit].
package traffic
