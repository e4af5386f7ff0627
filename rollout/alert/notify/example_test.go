package notify_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/alert/notify"
	"github.com/serin-go/serin/rollout/memstore"
)

// Critical alerts go to a pager, and all to a chat room.
func Example() {
	slack, err := notify.NewSlack("https://hooks.slack.com/services/T0/B0/secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	pager, err := notify.NewPagerDuty(notify.PagerDutyOptions{Key: "secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	manager, err := alert.New(alert.Config{
		Store:     new(memstore.Store),
		Receivers: map[string]alert.Notifier{"chat": slack, "pager": pager, "log": notify.Log(nil)},
		Routes: []alert.Route{
			{Min: alert.Critical, To: []string{"pager"}, Continue: true},
			{To: []string{"chat", "log"}},
		},
	})
	fmt.Println(manager != nil, err)
	// Output: true <nil>
}

// A service that receives webhooks verifies them.
func ExampleVerifyWebhook() {
	header := http.Header{}
	header.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	header.Set("webhook-timestamp", "1614265330")
	header.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	id, err := notify.VerifyWebhook(header, []byte(`{"test": 2432232314}`), time.Unix(1614265330, 0), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	fmt.Println(id, err)
	// Output: msg_p5jXN8AQM9LWM0D4loKWxJek <nil>
}
