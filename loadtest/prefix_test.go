package loadtest

import (
	"container/list"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/serin-go/serin/loadtest/workload"
)

// mooncakeRow is a row of a trace in the format of Mooncake.
type mooncakeRow struct {
	Timestamp int   `json:"timestamp"`
	Input     int   `json:"input_length"`
	Output    int   `json:"output_length"`
	Hashes    []int `json:"hash_ids,omitempty"`
}

// mooncakeTrace generates conversations whose turns have all earlier turns as prefix, and
// which begin with one of four system prompts. Blocks of 512 tokens with the same tokens
// after the same blocks have the same ID, as in the published traces.
func mooncakeTrace(seed uint64, sessions int) (rows []mooncakeRow) {
	rng := rand.New(rand.NewPCG(seed, 0))
	token := 0
	more := func(to []int, n int) []int {
		for range n {
			token++
			to = append(to, token)
		}
		return to
	}
	var systems [4][]int
	for i := range systems {
		systems[i] = more(nil, 300+rng.IntN(3000))
	}
	open := make([][]int, sessions)
	ids := make(map[string]int)
	at := 0
	for range 4 * sessions {
		s := rng.IntN(sessions)
		if open[s] == nil || rng.IntN(5) == 0 { // another conversation, of the same user
			open[s] = append([]int(nil), systems[rng.IntN(len(systems))]...)
		}
		open[s] = more(open[s], 1+rng.IntN(900))
		at += 1 + rng.IntN(2000)
		row := mooncakeRow{Timestamp: at, Input: len(open[s]), Output: 1 + rng.IntN(400)}
		before := -1
		for i := 0; i < len(open[s]); i += 512 {
			key := fmt.Sprint(before, open[s][i:min(i+512, len(open[s]))])
			if _, known := ids[key]; !known {
				ids[key] = len(ids)
			}
			before = ids[key]
			row.Hashes = append(row.Hashes, before)
		}
		rows = append(rows, row)
		open[s] = more(open[s], row.Output)
	}
	return rows
}

// prefixCache is the prefix cache of a server.
type prefixCache struct {
	room     int // blocks, 0 means no limit
	order    list.List
	blocks   map[uint64]*list.Element
	hit, all int // tokens
}

// ask looks the blocks of a prompt of n tokens up, and adds them. Only blocks before the
// first that is not there are hits.
func (c *prefixCache) ask(blocks []uint64, size, n int) {
	if c.blocks == nil {
		c.blocks = make(map[uint64]*list.Element)
	}
	missed := false
	for i, b := range blocks {
		tokens := min(size, n-i*size)
		c.all += tokens
		e, known := c.blocks[b]
		if missed = missed || !known; !missed {
			c.hit += tokens
		}
		if known {
			c.order.MoveToFront(e)
			continue
		}
		c.blocks[b] = c.order.PushFront(b)
		if c.room > 0 && len(c.blocks) > c.room {
			delete(c.blocks, c.order.Remove(c.order.Back()).(uint64))
		}
	}
}

func (c *prefixCache) rate() float64 { return 100 * float64(c.hit) / float64(c.all) }

// prefixesOf returns the hashes of the beginnings of words, one for each size words.
func prefixesOf(words []string, size int) (hashes []uint64) {
	h := fnv.New64a()
	for i, w := range words {
		_, _ = h.Write([]byte(w + " ")) // a hash returns no error
		if (i+1)%size == 0 || i+1 == len(words) {
			hashes = append(hashes, h.Sum64())
		}
	}
	return hashes
}

// replayed returns the words of the prompts that a replay of rows sends, in order.
func replayed(t *testing.T, rows []mooncakeRow) (prompts [][]string) {
	t.Helper()
	var file strings.Builder
	for _, row := range rows {
		if err := json.NewEncoder(&file).Encode(row); err != nil {
			t.Fatal(err)
		}
	}
	trace, err := workload.ReadTrace(strings.NewReader(file.String()), workload.TraceOptions{Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		var body struct{ Messages []struct{ Content string } }
		data, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(data, &body)
		}
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		prompts = append(prompts, strings.Fields(body.Messages[0].Content))
		return script{parts: spoken}.RoundTrip(r)
	}))
	p.Prompts, p.Workload, p.Pacer, p.Requests = nil, trace, trace, 0
	if report, _ := simulate(t, p); report.Sent != len(rows) || len(prompts) != len(rows) {
		t.Fatalf("%d of %d requests sent", report.Sent, len(rows))
	}
	return prompts
}

// TestMooncakeHitRate compares the hit rate of a trace's own hash IDs, in caches with and
// without a limit, with the hit rate of the bytes that are sent.
func TestMooncakeHitRate(t *testing.T) {
	rows := mooncakeTrace(1, 60)
	prompts := replayed(t, rows)
	for _, room := range []int{0, 50, 150} {
		own, sent, fine := prefixCache{room: room}, prefixCache{room: room}, prefixCache{room: room * 512 / 16}
		for i, row := range rows {
			var ids []uint64
			for _, id := range row.Hashes {
				ids = append(ids, uint64(id))
			}
			own.ask(ids, 512, row.Input)
			sent.ask(prefixesOf(prompts[i], 512), 512, len(prompts[i]))
			fine.ask(prefixesOf(prompts[i], 16), 16, len(prompts[i])) // blocks of the size that servers have
		}
		t.Logf("room for %d blocks: the trace's own hit rate is %.2f %%, replayed %.2f %%, with blocks of 16 tokens %.2f %%", room, own.rate(), sent.rate(), fine.rate())
		if own.rate() < 10 || math.Abs(own.rate()-sent.rate()) > 2 {
			t.Errorf("room for %d blocks: hit rate %.2f %% replayed, %.2f %% in the trace", room, sent.rate(), own.rate())
		}
		if room == 0 && fine.rate() < own.rate()-2 {
			t.Errorf("with blocks of 16 tokens: hit rate %.2f %% replayed, %.2f %% in the trace", fine.rate(), own.rate())
		}
	}
	for i := range rows {
		rows[i].Hashes = nil
	}
	without := prefixCache{}
	for _, words := range replayed(t, rows) {
		without.ask(prefixesOf(words, 16), 16, len(words))
	}
	if without.rate() > 1 {
		t.Errorf("without hash IDs the hit rate is %.2f %%, want 0", without.rate())
	}
}
