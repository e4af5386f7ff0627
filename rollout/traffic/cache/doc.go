// Package cache provides a response cache for models: an [http.RoundTripper] in front
// of a version, which answers a repeated request with the version's earlier answer:
//
//	remembered, err := cache.New(cache.Config{})
//	router, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{
//		"1.4.0": {URL: url, Transport: remembered.Transport("1.4.0", nil)},
//		"1.5.0": {URL: next, Transport: remembered.Transport("1.5.0", nil)},
//	}})
//
// # What is cached
//
// Whole answers with status 200 that package answer classifies as OK, to POST
// requests in JSON on the routes of inference. A request must have one right answer:
// an interface without sampling (embeddings, rerank, moderations), temperature 0 or a
// seed, unless [Config].Any is set. Streams are stored as they came, and replayed
// byte for byte. Requests pass by the cache if the server runs tools for them, keeps
// their answer, answers in the background, or continues something. Responses of
// OpenAI are kept by the server unless "store" is false.
//
// # Identity
//
// Without identity there is no caching. The identity of a request are its
// credentials: Authorization, Proxy-Authorization, Cookie, X-Api-Key, Api-Key,
// X-Goog-Api-Key and the query's key, Ocp-Apim-Subscription-Key,
// X-Amz-Security-Token, X-Forwarded-Access-Token, OpenAI-Organization and
// OpenAI-Project; with [Config].Tenant, its tenant together with the credentials. A
// request without any passes by the cache.
//
// Two requests are the same if all of this is equal: the version, the URL with its
// query and host, all members of the body in whatever order, Accept, Accept-Encoding,
// Content-Type, all credentials, the headers anthropic-*, openai-*, x-goog-* and
// their like of gateways, further headers whose names say that they identify the
// caller, such as X-Forwarded-User, and the tenant. Therefore an answer never crosses
// from one version, tenant or credential to another, and a hit never hides that a
// credential is wrong: the first answer to a credential comes from the server. (A
// credential that is revoked later has its hits until they expire; set [Config].TTL
// accordingly, or pass only authenticated requests on.) It also means that section 3.5 of RFC 9111 is met: the answer to a request with
// Authorization is given to requests with the same Authorization only.
//
// # Cache-Control
//
// The cache obeys RFC 9111 as a private cache that does not keep what is marked
// private either. Requests with no-store, no-cache or max-age=0 pass; max-age and
// min-fresh limit what a hit may be. Answers with no-store, no-cache, private, or Vary
// on a header that is not part of the key are neither stored nor shared. Age, max-age,
// s-maxage and Expires shorten the time that an answer is good for, which is never
// longer than [Config].TTL; the least of them counts. Directives that cannot be parsed
// count as no-store.
//
// Of the header of an answer, the cache keeps Content-Type, Content-Encoding,
// Content-Length and what [Config].Keep names. Cookies, rate limits and request ids
// reach only the caller whose request the server has answered.
//
// # Coalesced requests
//
// A request that is the same as one in flight shares its answer as it comes, under the
// same rules. The request to the server goes on while any of the callers is there.
//
// # What the analysis makes of it
//
// Answers carry the header Serin-Cache, hit or miss; package traffic does not
// compare hits, since the version has not given them now. The cache removes the
// header from what servers send.
//
// # Dependencies
//
// github.com/maypok86/otter/v2: the store, bounded by bytes and by age, from which a
// value can be read as soon as it was written. It is why this is a package of its
// own.
package cache
