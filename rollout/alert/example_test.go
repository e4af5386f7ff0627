package alert_test

import (
	"context"
	"fmt"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/alert"
	"github.com/serin-go/serin/rollout/memstore"
)

// An alert fires, is told, and ends.
func Example() {
	told := make(chan alert.Notification, 10)
	manager, err := alert.New(alert.Config{
		Store: new(memstore.Store),
		Receivers: map[string]alert.Notifier{"console": alert.NotifierFunc(func(_ context.Context, n alert.Notification) error {
			told <- n
			return nil
		})},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go manager.Run(ctx)
	a := alert.Alert{Name: "OutOfMemory", Labels: map[string]string{"target": "chat"}, Severity: alert.Critical, Summary: "chat has no memory left"}
	if err := manager.Set(ctx, a); err != nil {
		fmt.Println(err)
		return
	}
	n := <-told
	fmt.Println(n.Group, n.Worst(), n.Alerts[0].Summary)
	fmt.Println(manager.Clear(ctx, a.Key()), len(manager.Firing()))
	// Output:
	// target=chat critical chat has no memory left
	// <nil> 0
}

// A silence for two hours.
func ExampleManager_Silence() {
	manager, err := alert.New(alert.Config{Store: new(memstore.Store), Receivers: map[string]alert.Notifier{"none": alert.NotifierFunc(func(context.Context, alert.Notification) error { return nil })}})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = manager.Silence(context.Background(), alert.Silence{Match: map[string]string{"target": "chat"}, To: time.Now().Add(2 * time.Hour), Reason: "new disks"}, rollout.Actor{Name: "ana"})
	fmt.Println(err, len(manager.Silences()))
	// Output: <nil> 1
}

// Security events of one source become one alert with a count.
func ExampleManager_Security() {
	manager, err := alert.New(alert.Config{Store: new(memstore.Store), Receivers: map[string]alert.Notifier{"none": alert.NotifierFunc(func(context.Context, alert.Notification) error { return nil })}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(manager.Security(alert.SecurityEvent{Kind: "FactorBurst", Source: "ana@example.com"}))
	fmt.Println(manager.Security(alert.SecurityEvent{Kind: "Burst"}))
	// Output:
	// <nil>
	// alert: SecurityEvent.Kind is "Burst", want one of SecurityKinds, and a known severity
}
