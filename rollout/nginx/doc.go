// Package nginx answers how a rollout moves traffic that nginx divides. Its
// [Splitter] is a rollout.Splitter that renders the split as a file of
// configuration, has nginx test and load it, and reads back what is in force:
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
// Shares are exact to 0.01 %, by split_clients: a hash of the salt and the key, so
// that a user stays with an arm, a growing candidate keeps everybody it has, and
// two salts give unrelated cohorts. It is not the hash of package traffic: users
// move when a team changes from one to the other. A request without a key is
// drawn at random. Rules by header, cookie, query parameter and unit become maps;
// the first that holds decides. As in nginx, the names of cookies and parameters
// do not tell upper from lower case, values do. [Splitter.CanSplit] refuses
// mirrors, and names that a variable of nginx cannot hold.
//
// # When a split is in force
//
// The file is replaced as a whole, tested with nginx -t, and put back if the test
// fails: the split before it stays in force. After the reload nginx's old workers
// go on to accept for a moment, so an answer of the new ones alone proves little.
// The file therefore contains a little server on Config.Status, on its port and
// the one above it in turn: the new workers must answer on the one with the version
// that was written, and the other must refuse connections, which it does when the
// last old worker has stopped to accept. Then SetSplit returns. Streams that an old
// worker serves go on to their end, unless worker_shutdown_timeout cuts them.
//
// # Dependencies
//
// The standard library, and package strategies. The tests run Debian's nginx.
package nginx
