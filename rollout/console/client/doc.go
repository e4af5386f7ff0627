// Package client is a client of Serin's HTTP API: it lists, starts, watches, approves and
// aborts the rollouts of a service from another process, such as a command-line tool, a CI
// job or a chat bot.
//
//	c, err := client.New(client.Config{URL: "https://serin.example.com", Token: token})
//	...
//	id, err := c.Start(ctx, plan, "release-1.6.0")
//	...
//	for update, err := range c.Stream(ctx, id) {
//		...
//	}
//	err = c.Do(ctx, id, client.Order{Command: "abort"})
//
// # Wire format
//
// The types of this package are the JSON of the API. Times are RFC 3339, durations are texts
// such as "1m30s", and shares of traffic are hundredths of a percent with a text. Within
// version 1 members are added and never removed, so a client ignores members that it does
// not know. The API is described by /api/v1/openapi.json.
//
// # Errors
//
// What the server refuses is a [*Problem] (RFC 9457). [Problem.Name] is one of the Name
// constants. Any other error means that the server did not answer: the request may have been
// carried out, and can be repeated with the same key.
//
// # What belongs here
//
// Types of the wire and one method for each operation of the API. Decisions belong to the
// server. Package checks is imported for its InvalidError; otherwise only the standard library
// is used.
package client
