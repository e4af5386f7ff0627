package traffic

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/heaptest"
)

// TestPinsAreBounded: the last 100,000 ids are known, and take at most 4 MiB.
func TestPinsAreBounded(t *testing.T) {
	arms := []*arm{{name: "old"}, {name: "new"}}
	before := heaptest.InUse()
	table := new(pinTable)
	const n = 250_000
	for i := range n {
		table.put(hashID(fmt.Sprint("resp_", i)), arms[i%2])
	}
	if took := heaptest.InUse() - before; took > 4<<20 {
		t.Errorf("they take %d bytes, want at most 4 MiB", took)
	} else {
		t.Logf("they take %d bytes", took)
	}
	for i := range n {
		arm, ok := table.get(hashID(fmt.Sprint("resp_", i)))
		if known := i >= n-maxPins; ok != known || ok && arm != arms[i%2].name {
			t.Fatalf("id %d of %d is known as one of %q, %t", i, n, arm, ok)
		}
	}
	runtime.KeepAlive(table)
}

// TestPinsLikeAMap compares the table with a map, while arms come and go.
func TestPinsLikeAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	table, want := new(pinTable), map[pinHash]string{}
	arms := map[string]*arm{}
	for step := range 200_000 {
		name := fmt.Sprint("arm-", rng.IntN(5))
		if arms[name] == nil {
			arms[name] = &arm{name: name}
		}
		h := pinHash{byte(rng.IntN(3)), byte(rng.IntN(100)), 0, byte(rng.IntN(100))} // long chains
		switch {
		case step%5000 == 4999:
			arms[name].gone.Store(true)
			table.forget(name)
			table.put(h, arms[name]) // by a request that was under way
			for h, a := range want {
				if a == name {
					delete(want, h)
				}
			}
			delete(arms, name)
		case rng.IntN(2) == 0:
			table.put(h, arms[name])
			want[h] = name
		}
		if arm, ok := table.get(h); arm != want[h] || ok != (want[h] != "") {
			t.Fatalf("step %d: %q, %t, want %q", step, arm, ok, want[h])
		}
	}
	if len(table.arms) > 5 {
		t.Errorf("the names of %d arms are kept, want 5", len(table.arms))
	}
	// Those that were dropped for their age leave no traces in their chains.
	table = new(pinTable)
	for i := range 2*maxPins + 500 {
		table.put(pinHash{byte(i), byte(i >> 8), 0, byte(i >> 16), 1}, arms["arm-0"])
	}
	n := 0
	for b := range table.buckets {
		for i := table.buckets[b]; i != 0; i = table.at(i).next {
			if n++; int(table.at(i).hash.bucket()) != b {
				t.Fatalf("pin %d is in bucket %d", i, b)
			}
		}
	}
	if n != maxPins {
		t.Errorf("%d pins are in chains, want %d", n, maxPins)
	}
}

func BenchmarkPins(b *testing.B) {
	a := &arm{name: "new"}
	ids := make([]string, 2*maxPins)
	for i := range ids {
		ids[i] = fmt.Sprintf("resp_%048x", i)
	}
	p := new(pins)
	for _, id := range ids {
		p.put(id, a)
	}
	b.Run("put", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			p.put(ids[i%len(ids)], a)
		}
	})
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			p.armOf(ids[i%len(ids)])
		}
	})
	path := "/v1/files/" + ids[0] + "/content"
	b.Run("path", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			eachID(path, func(id string) bool { p.armOf(id); return false })
		}
	})
	document := []byte(`{"object":"response","output":[{"id":"msg_1","type":"message","content":[{"type":"output_text","text":"` +
		strings.Repeat("word ", 350) + `"}]}],"status":"completed","id":"` + ids[0] + `"}`)
	b.Run("answer of 2 KB", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(document)))
		r, h := new(Router), http.Header{"Content-Type": {"application/json"}}
		for b.Loop() {
			r.idsOf(a, 200, h).feed(document)
		}
	})
}

// TestIDsInBodies reads what a request about a resource names.
func TestIDsInBodies(t *testing.T) {
	for body, want := range map[string]string{
		``:                       "[]",
		`[{"file_id":"a"}]`:      "[]",
		`{"file_id":"a"}`:        "[a]",
		`{"fil\u0065_id":"a"}`:   "[a]",
		`{"file_ids":["a","b"]}`: "[a b]",
		`{"file_ids":"a"}`:       "[]",
		`{"training_file":"a","validation_file":"b","file":"c","id":"d"}`: "[a b]",
		`{"metadata":{"file_id":"a"},"x":["file_id"]}`:                    "[]",
		`{"a_id":1,"b_id":null,"c_id":"c"}`:                               "[  c]",
		`{"a_ids":["1","2","3","4","5"],"b_id":"6"}`:                      "[1 2 3 4]",
		`{"a_id":"1`:    "[]",
		`{"a_ids":["1"`: "[]",
		`{"a_ids":[` + strings.Repeat(`"1",`, 1<<16) + `"1"],"b_id":"2"}`:            "[1 1 1 1]",
		strings.Repeat(`{"a_id":`, 1<<16):                                            "[]",
		`{"input_file_id":"a","input_file_id":"b","` + strings.Repeat("x", 1<<20):    "[]",
		"\ufeff" + `{"a_id":"1"}`:                                                    "[]",
		`{"a_id":"` + strings.Repeat("x", 1<<20) + `","b_id":"b"} something else {}`: "[" + strings.Repeat("x", 1<<20) + " b]",
	} {
		if got := fmt.Sprint(idsIn([]byte(body))); got != want {
			t.Errorf("%.100s: %.100s, want %.100s", body, got, want)
		}
	}
}

// FuzzIDReader: the ids that are found do not depend on how the answer is cut, and
// there are few of them.
func FuzzIDReader(f *testing.F) {
	for _, s := range []string{`{"id":"resp_1"}`, `{"a":{"id":"x1"},"file":{"name":"files/a"}}`, "data: {\"response\":{\"id\":\"r1\"}}\n\n", `{"id":"\u0061\"1"}`, `}}]{"id":"a1"`, `{"a":[{"id":"b1"}],"id":"a1"}`} {
		f.Add([]byte(s), uint8(3), false)
		f.Add([]byte(s), uint8(1), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, cut uint8, stream bool) {
		read := func(size int) string {
			a := &arm{name: "new"}
			p := new(pins)
			d := newIDReader(p, a, stream)
			for from := 0; from < len(body); from += size {
				d.feed(body[from:min(len(body), from+size)])
			}
			if p.own.count > maxIDs || d.found > maxIDs {
				t.Fatalf("%d ids of one answer", d.found)
			}
			all := ""
			for i := range p.own.count {
				all += fmt.Sprintf("%x ", p.own.at(i+1).hash)
			}
			return all
		}
		if whole, parts := read(len(body)+1), read(int(cut)+1); whole != parts {
			t.Errorf("whole: %s, in parts: %s", whole, parts)
		}
	})
}

// TestInferenceMakesNoIDs: answers that name nothing that is kept are not searched.
func TestInferenceMakesNoIDs(t *testing.T) {
	for _, tt := range []struct {
		method string
		ask    answer.Ask
		want   bool
	}{
		{"POST", answer.Ask{Route: answer.Route{API: answer.Chat, Kind: answer.Inference}, Read: true}, false},
		{"POST", answer.Ask{Route: answer.Route{API: answer.Chat, Kind: answer.Inference}}, false},
		{"POST", answer.Ask{Route: answer.Route{API: answer.Messages, Kind: answer.Inference}, Read: true, Store: true}, false},
		{"POST", answer.Ask{Route: answer.Route{API: answer.Responses, Kind: answer.Inference}, Read: true}, false},
		{"POST", answer.Ask{Route: answer.Route{API: answer.Responses, Kind: answer.Inference}}, true},
		{"POST", answer.Ask{Route: answer.Route{Kind: answer.Control}}, false},
		{"POST", answer.Ask{}, false},
		{"POST", answer.Ask{Route: answer.Route{Kind: answer.Resource}}, true},
		{"PUT", answer.Ask{Route: answer.Route{Kind: answer.Resource}}, true},
		{"GET", answer.Ask{Route: answer.Route{Kind: answer.Resource}}, false},
		{"DELETE", answer.Ask{Route: answer.Route{Kind: answer.Resource}}, false},
	} {
		if got := makesIDs(tt.method, &tt.ask); got != tt.want {
			t.Errorf("%s %+v: %t", tt.method, tt.ask, got)
		}
	}
}
