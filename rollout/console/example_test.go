package console_test

import (
	"fmt"
	"net/http/httptest"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console"
	"github.com/serin-go/serin/rollout/memstore"
)

// A console without a sign-in shows this machine how the rollouts of a store stand.
func Example() {
	store := new(memstore.Store)
	engine, err := rollout.Commander(store, rollout.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	pages, err := console.New(console.Config{Engine: engine, Store: store})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "http://localhost/", nil)
	r.RemoteAddr = "127.0.0.1:4711"
	w := httptest.NewRecorder()
	pages.ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output: 200
}
