// Package cache answers a question that a version of a model has been asked before
// with the answer that it gave, as an [http.RoundTripper] in front of the version:
//
//	remembered, err := cache.New(cache.Config{})
//	router, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{
//		"1.4.0": {URL: url, Transport: remembered.Transport("1.4.0", nil)},
//		"1.5.0": {URL: next, Transport: remembered.Transport("1.5.0", nil)},
//	}})
//
// # What is remembered
//
// Whole answers with status 200, to POST requests in JSON that have one right
// answer: with temperature 0 or a seed, unless [Config].Any says that all will do.
// Streams are remembered as they came, and replayed byte for byte; one without its
// terminator, with an error in it, or refused, is not remembered. Requests that
// continue something on the server, or ask it to keep something, pass by, and so do
// those with Cache-Control: no-store or no-cache.
//
// Two requests are the same if version, tenant, method, URL and all members of the
// body are, whatever their order. An answer never crosses from one version or
// tenant to another; unless [Config].Tenant says otherwise, a tenant is an
// Authorization header.
//
// Who asks while the first one is being answered reads along. The question goes on
// as long as anybody waits for the answer.
//
// # What the analysis makes of it
//
// Answers carry the header Serin-Cache, hit or miss; package traffic does not
// compare hits, since the version has not given them now. The header is taken off
// what backends send.
//
// # Dependencies
//
// github.com/maypok86/otter/v2: the store, bounded by bytes and by age, from which a
// value can be read as soon as it was written. It is why this is a package of its
// own.
package cache
