// Package nginx splits traffic for canary and A/B rollouts in nginx. Its [Splitter]
// is a rollout.Splitter that renders the split as a configuration file, has nginx test
// and load it, and reads back what is in force:
//
//	splitter, err := nginx.New(nginx.Config{
//		Path:     "/etc/nginx/conf.d/chat-split.conf",
//		Variable: "chat_upstream",
//		Key:      "$http_x_user",
//		Status:   "127.0.0.1:9180",
//		Arms:     map[string]string{"1.4.0": "blue", "1.5.0": "green"},
//	})
//
// The file is included in nginx's http section and defines $chat_upstream, the
// name of the upstream that serves the request. What uses it is yours:
//
//	upstream blue  { server 10.0.0.14:8000; }
//	upstream green { server 10.0.0.15:8000; }
//	server {
//	    location / { proxy_pass http://$chat_upstream; proxy_buffering off; }
//	}
//
// nginx does not start without the file; [Splitter.Render] gives the first one.
//
// # What it can do
//
// Shares are exact to 0.01 %, by split_clients with a hash of the salt and the key.
// A user stays with an arm, a growing candidate keeps its users, and two salts give
// unrelated cohorts. Package traffic has another hash: users move when a team changes
// from one to the other. A request without a key is assigned at random. Rules by
// header, cookie, query parameter and unit become maps; the first that matches
// decides. As in nginx, names of cookies and parameters ignore case, and values do
// not. [Splitter.CanSplit] refuses mirrors, and names that a variable of nginx cannot
// hold.
//
// # When a split is in force
//
// The file is replaced as a whole and tested with nginx -t. If the test fails, the
// previous file is restored, and the previous split stays in force. After a reload the
// old workers accept connections for a moment, so an answer of the new workers alone
// proves little. The file therefore has a status server, alternately on the port of
// Config.Status and the port above it. SetSplit returns when one port answers with the
// new version, and the other refuses connections, which means that the last old worker
// no longer accepts any. Streams of an old worker continue to their end, unless
// worker_shutdown_timeout cuts them.
//
// # Dependencies
//
// The standard library, and package strategies. The tests run Debian's nginx.
package nginx
