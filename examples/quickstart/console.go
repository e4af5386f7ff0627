package main

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console"
)

// handler returns the router and, at /serin/, the console. It has no sign-in, so it answers
// this machine alone, and changes nothing.
func (d *demo) handler(ctx context.Context, store rollout.Store) (http.Handler, error) {
	pages, err := console.New(console.Config{Engine: d.engine, Store: store, Prefix: "/serin", Title: "quickstart", Zone: time.Local})
	if err != nil {
		return nil, err
	}
	go pages.Run(ctx)
	mux := http.NewServeMux()
	mux.Handle("/", d.router)
	mux.Handle("/serin/", pages)
	mux.Handle("/{$}", http.RedirectHandler("/serin/", http.StatusSeeOther))
	return mux, nil
}

// consoleURL returns the address of the console for a browser on this machine.
func consoleURL(front string) string {
	u, err := url.Parse(front)
	if err != nil {
		return front
	}
	if _, port, err := net.SplitHostPort(u.Host); err == nil {
		u.Host = "localhost:" + port
	}
	return u.JoinPath("/serin/").String()
}
