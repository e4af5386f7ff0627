package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestTable measures two fleets in virtual time.
func TestTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		err := run(t.Context(), &out, options{members: []int{1, 4}, rate: 5, warm: 20 * time.Second, bake: 20 * time.Second, idle: 5 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		rows := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(rows) != 3 || len(strings.Fields(rows[0])) != 12 {
			t.Fatalf("got\n%s\nwant a head and two rows", out.String())
		}
		for i, n := range []int{1, 4} {
			var members int
			var ops, gets, puts, lists, mb, commits float64
			if _, err := fmt.Sscan(rows[i+1], &members, &ops, &gets, &puts, &lists, &mb, &commits); err != nil {
				t.Fatal(err)
			}
			// Each process writes its evidence and reads the document.
			if members != n || gets < float64(n)/2 || puts < float64(n)/2 || lists < .5 || ops > 20*float64(n) || commits < 1 {
				t.Errorf("%d processes: %s", n, rows[i+1])
			}
		}
	})
}
