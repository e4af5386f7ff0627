package traffic

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/serin-go/serin/checks/analysis/answer"
)

// TestRoomForBodies: a body takes no more than it has by a quarter, and never more
// than it may have; the peak counts, too.
func TestRoomForBodies(t *testing.T) {
	const kib = 1 << 10
	for _, tt := range []struct {
		name          string
		size          int
		length, limit int64
		cap, peak     int64 // at most
		want          int   // bytes that are returned
	}{
		{"short, announced", 100, 100, 8000 * kib, 100, 100, 100},
		{"short, unknown", 100, 0, 8000 * kib, 64 * kib, 64 * kib, 100},
		{"empty", 0, 0, 8000 * kib, 64 * kib, 64 * kib, 0},
		{"long, announced", 5000 * kib, 5000 * kib, 8000 * kib, 5000*kib + 1, 9200 * kib, 5000 * kib},
		{"long, unknown", 5000 * kib, -1, 8000 * kib, 6250 * kib, 11250 * kib, 5000 * kib},
		{"longer than announced", 5000 * kib, 3000 * kib, 8000 * kib, 6250 * kib, 11250 * kib, 5000 * kib},
		{"as long as it may be", 8000 * kib, 0, 8000 * kib, 8000*kib + 1, 16000 * kib, 8000 * kib},
		{"too long", 9000 * kib, 0, 8000 * kib, 8000*kib + 1, 16000 * kib, 8000*kib + 1},
		{"too long, short bound", 100, 0, 10, 11, 11, 11},
		{"announced, short bound", 10, 10, 10, 10, 10, 10},
	} {
		content := bytes.Repeat([]byte("0123456789"), tt.size/10+1)[:tt.size]
		for name, body := range map[string]io.Reader{"at once": bytes.NewReader(content), "with its end": iotest.DataErrReader(bytes.NewReader(content)), "by halves": iotest.HalfReader(bytes.NewReader(content))} {
			m := &bodyMemory{limit: tt.peak}
			s := &share{memory: m}
			data, err := s.read(body, tt.length, tt.limit)
			if err != nil || !bytes.Equal(data, content[:tt.want]) {
				t.Errorf("%s, %s: %d bytes, %v", tt.name, name, len(data), err)
			}
			if int64(cap(data)) > tt.cap || s.n != int64(cap(data)) || m.used.Load() != s.n {
				t.Errorf("%s, %s: room for %d, want %d; taken %d of %d", tt.name, name, cap(data), tt.cap, s.n, m.used.Load())
			}
			s.end()
			s.end()
			if m.used.Load() != 0 {
				t.Errorf("%s, %s: %d bytes are left", tt.name, name, m.used.Load())
			}
			// Without the room for its end nothing stays but what was taken.
			m.limit = min(tt.cap/2, int64(tt.want)-1)
			if _, err := s.read(bytes.NewReader(content), tt.length, tt.limit); tt.want > 0 && !isBodyMemory(err) {
				t.Errorf("%s, %s: with room for %d: %v", tt.name, name, m.limit, err)
			}
			if m.used.Load() > m.limit && m.limit >= 0 {
				t.Errorf("%s, %s: %d bytes are taken, want at most %d", tt.name, name, m.used.Load(), m.limit)
			}
			s.end()
		}
	}
	m := &bodyMemory{limit: 1 << 20}
	s := &share{memory: m}
	broken := errors.New("broken")
	for _, length := range []int64{0, 50, 100, 100 << 10} {
		if _, err := s.read(io.MultiReader(strings.NewReader("0123456789"), iotest.ErrReader(broken)), length, 1<<20); !errors.Is(err, broken) {
			t.Errorf("a body of %d bytes that breaks: %v", length, err)
		}
	}
	if s.end(); m.used.Load() != 0 {
		t.Errorf("%d bytes are left", m.used.Load())
	}
	if _, err := s.read(strings.NewReader("0123456789"), 50, 1<<20); err != io.ErrUnexpectedEOF {
		t.Errorf("a body that is too short: %v", err)
	}
}

// TestShapesTakeMemory: what is written into a request in many places counts as it is.
func TestShapesTakeMemory(t *testing.T) {
	m := &bodyMemory{limit: 2 << 20}
	held := &share{memory: m}
	r := &Router{maxBody: 1 << 20}
	body := &payload{data: []byte("{" + strings.Repeat(`"model":"",`, 9_000) + `"model":""}`), held: true}
	a := &arm{backend: Backend{Model: strings.Repeat("m", 100)}}
	req, err := http.NewRequest("POST", "http://x.invalid/v1/chat/completions", nil)
	if err != nil {
		t.Fatal(err)
	}
	ask := answer.Ask{Route: answer.Route{API: answer.Chat, Kind: answer.Inference}}
	s, err := r.shape(a, ask, req, body, held, false)
	if err != nil || m.used.Load() < int64(len(s.body.data)) || len(s.body.data) < 900_000 {
		t.Errorf("%d bytes, %d are taken: %v", len(s.body.data), m.used.Load(), err)
	}
	held.end()
	m.limit = 500_000
	if _, err := r.shape(a, ask, req, body, held, false); !isBodyMemory(err) || m.used.Load() != 0 {
		t.Errorf("%v, %d bytes are taken", err, m.used.Load())
	}
}
