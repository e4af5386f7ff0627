package httproute_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http/httptest"

	"github.com/serin-go/serin/internal/fakeroute"
	"github.com/serin-go/serin/rollout/httproute"
	"github.com/serin-go/serin/strategies"
)

// Within a cluster Name and Arms are enough; here a server that is not a cluster
// is named.
func Example() {
	route := fakeroute.New(chat)
	server := httptest.NewServer(route)
	defer server.Close()

	splitter, err := httproute.New(httproute.Config{
		Name: "chat", Namespace: "models",
		Arms:   map[string]string{"1.4.0": "chat-blue", "1.5.0": "chat-green"},
		Server: server.URL, TokenFile: "-",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = splitter.SetSplit(context.Background(), strategies.Split{
		Arms: []strategies.Arm{{Name: "1.4.0", Weight: strategies.Percent(95)}, {Name: "1.5.0", Weight: strategies.Percent(5)}},
	})
	fmt.Println(err, weights(route, 0))
	// Output: <nil> map[chat-blue:9500 chat-green:500]
}

func pemOf(server *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}
