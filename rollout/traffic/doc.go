// Package traffic answers who serves this request, and what happened to it. Its
// [Router] splits live traffic between versions of a model and measures every
// request:
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
// three share one split, one measurement and one rule of who is served by whom.
//
// # Who is served by whom
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
// cookies, the query, and the unit, tenant or conversation; and the lanes
// ([Lane]), which keep a holdout from all experiments and the units of one
// experiment from another; and the arm that a [Sticky] remembers, if there is one:
// conversations may then end where they began. [Router.Kill] takes an arm out at
// once.
//
// [Router.SetSplit] stores one pointer. The next request sees the new split; a
// request that is being served ends where it began, and is counted under the
// generation that assigned it.
//
// What it ends with may be bounded: [Config].Drain says how long an arm may go on
// that has lost all traffic, [Router.Drained] waits until it is empty, and
// [Router.Generations] counts what is under way.
//
// [Config].Exposed tells who met which arm and why, for analyses elsewhere; rules,
// forced arms, lanes and killed arms are told apart from chance, and are not
// compared.
//
// # What is measured
//
// Each request gives exactly one [analysis.Observation]. Streams pass through
// chunk by chunk, each at once; what they contain is read along the way (package
// internal/sse): time to the first generated token, which is neither the header
// nor the role chunk, mean time per token after it, tokens, finish reason. Known
// are OpenAI's chats, completions and responses, Anthropic's messages and Ollama's
// lines (NDJSON), streamed or not; of other event streams and lines, the time to
// the first event is measured, and an end without an error is taken for one. An
// error inside a 200, a stream without its terminator, a refusal, an answer
// without a token and a caller who went away each have their own
// [analysis.Class]. Latency begins when the request body is complete, so that a
// slow uploader does not look like a slow model; times are taken before a chunk
// is handed on, and what a caller held up is taken out of those that follow
// ([analysis.Observation.ClientStall]), so that a slow reader does not either.
//
// # Rescue
//
// When a candidate is down, answers with a 5xx, or sends no byte of an answer
// within [Config].FirstByteTimeout, the baseline serves the same request. The
// caller sees a good answer, and in the response the version that gave it; the
// failure is counted once, against the candidate. Some servers begin a stream
// before they know whether there will be an answer: of a candidate's stream what
// comes before the first content is held back, for up to [Config].HoldBack, and an
// error or an end in it is rescued as well. [Config].RescueRatio bounds the load
// that rescues add to the baseline. To make that possible, request
// bodies are held up to [Config].MaxBody, and the header of an answer, of any arm,
// waits for the first byte of its body: servers send headers before they have
// computed anything. Answers below 500 are not rescued, 429
// included: they are about the request or its sender. The baseline's own failures
// pass through, as there is nobody left to ask. Config.NoRescue turns it off.
//
// Since a rescued request is sent twice, a backend must not have effects that
// may not happen twice.
//
// # Shadow
//
// The mirrors of a split ([strategies.Shadow]) send copies of requests to an arm
// whose answers nobody sees. A copy has its own deadline and is dropped when there
// are too many; its answer is measured for the arm as any other, and the two
// answers to one request may be judged against each other; see [Mirroring] and
// [Router.Mirrors]. Copies ask for no tools unless told to, carry the header
// Serin-Mirror, and are neither in [Router.Stats] nor given to [Config].Observe.
//
// # Response headers
//
// Serin-Version names the arm that served, Serin-Request-Id the request, for
// feedback to refer to; it is the ID of the Observation. Neither is taken from
// the request.
//
// # Dependencies
//
// xxhash and the OpenTelemetry metric interfaces; of this module strategies,
// checks/analysis and internal/sse. It does not import package rollout, which
// hands it splits through [Router.SetSplit].
package traffic
