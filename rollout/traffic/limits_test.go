package traffic

import (
	"testing"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
)

// TestPatienceOfEach derives the patience of each interface and form from what the
// baseline answered there, as long as that is news.
func TestPatienceOfEach(t *testing.T) {
	chat := answer.Ask{Route: answer.Route{API: answer.Chat, Kind: answer.Inference}, Stream: true}
	document := chat
	document.Stream = false
	messages := answer.Ask{Route: answer.Route{API: answer.Messages, Kind: answer.Inference}, Stream: true}
	models := answer.Ask{Route: answer.Route{Kind: answer.Auxiliary}}
	good := func(first time.Duration) *answer.Outcome {
		return &answer.Outcome{Class: analysis.OK, FirstByte: first}
	}
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	near := func(got, want time.Duration) bool { return got >= want && got <= want+want/20 }
	teach := func(p *patience, ask answer.Ask, n int, first, every time.Duration) {
		for range n {
			now = now.Add(every)
			p.observe(ask, good(first), now)
		}
	}
	p := &patience{factor: 10}
	teach(p, chat, 199, time.Second, 0)
	if got := p.limit(chat, now); got != 0 {
		t.Errorf("%v with 199 answers", got)
	}
	for _, o := range []*answer.Outcome{
		{Class: analysis.Error, FirstByte: time.Hour}, {Class: analysis.Abandoned, FirstByte: time.Hour}, {Class: analysis.Unread, FirstByte: time.Hour}, {Class: analysis.OK},
	} {
		for range 200 {
			p.observe(chat, o, now)
		}
	}
	if got := p.limit(chat, now); got != 0 {
		t.Errorf("%v by answers that were not good", got)
	}
	teach(p, chat, 1, time.Second, 0)
	if got := p.limit(chat, now); !near(got, 10*time.Second) {
		t.Errorf("%v by 200 answers after a second", got)
	}
	for _, ask := range []answer.Ask{document, messages, models} {
		if got := p.limit(ask, now); got != 0 {
			t.Errorf("%v for %+v, of which nothing is known", got, ask)
		}
	}
	teach(p, document, 300, 40*time.Second, 0)
	teach(p, messages, 300, 10*time.Millisecond, 0)
	teach(p, models, 300, time.Minute, 0)
	if d, m := p.limit(document, now), p.limit(messages, now); !near(d, 400*time.Second) || m != patienceMin || p.limit(models, now) != 0 {
		t.Errorf("%v for documents, %v for messages", d, m)
	}
	if got := p.limit(chat, now); !near(got, 10*time.Second) {
		t.Errorf("%v for chats, after others have answered", got)
	}

	// The 99th percentile: two answers of a hundred are slow.
	q := &patience{factor: 2}
	for range 10 {
		teach(q, chat, 98, 3*time.Second, 0)
		teach(q, chat, 2, 20*time.Second, 0)
	}
	if got := q.limit(chat, now); !near(got, 40*time.Second) {
		t.Errorf("%v with 2 %% of slow answers", got)
	}

	// It forgets: without a word from the baseline, and with fewer than 200.
	now = now.Add(patienceWindow - time.Second)
	if got := p.limit(chat, now); got == 0 {
		t.Error("forgotten within 15 minutes")
	}
	now = now.Add(time.Second)
	if got := p.limit(chat, now); got != 0 {
		t.Errorf("%v after 15 minutes", got)
	}
	teach(p, chat, 1, time.Second, 0)
	if got := p.limit(chat, now); got != 0 {
		t.Errorf("%v by one answer", got)
	}
	teach(p, chat, 199, 2*time.Second, 0)
	if got := p.limit(chat, now); !near(got, 20*time.Second) {
		t.Errorf("%v by 200 new answers", got)
	}
	teach(p, chat, 90, time.Second, 20*time.Second) // half an hour of little traffic
	if got := p.limit(chat, now); got != 0 {
		t.Errorf("%v by 45 answers of the last 15 minutes", got)
	}
	teach(p, chat, 2000, 2*time.Second, time.Second)
	teach(p, chat, 2000, time.Second, time.Second) // the slow ones are long ago
	if got := p.limit(chat, now); !near(got, 10*time.Second) {
		t.Errorf("%v after the baseline became faster", got)
	}

	off := &patience{factor: -1}
	teach(off, chat, 300, time.Second, 0)
	if got := off.limit(chat, now); got != 0 {
		t.Errorf("%v although it is off", got)
	}
	huge := &patience{factor: 1e300}
	teach(huge, chat, 300, time.Second, 0)
	if got := huge.limit(chat, now); got < time.Hour {
		t.Errorf("%v by a factor without sense", got)
	}
}

// TestFirst takes the shorter one of the limit and the patience, which holds for a
// candidate alone.
func TestFirst(t *testing.T) {
	stream := answer.Ask{Route: answer.Route{API: answer.Chat, Kind: answer.Inference}, Stream: true}
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		first, byBaseline time.Duration
		fallback          bool
		want              time.Duration
	}{
		{time.Minute, 0, true, time.Minute}, {time.Minute, time.Second, false, time.Minute}, {time.Minute, time.Second, true, 10 * time.Second},
		{time.Minute, 20 * time.Second, true, time.Minute}, {-1, time.Second, true, 10 * time.Second}, {-1, time.Second, false, -1}, {-1, 0, true, -1},
	} {
		l := &limits{firstByte: c.first, firstDocument: c.first, patience: patience{factor: 10}}
		if c.byBaseline > 0 {
			for range 200 {
				l.patience.observe(stream, &answer.Outcome{Class: analysis.OK, FirstByte: c.byBaseline}, now)
			}
		}
		if got := l.first(stream, c.fallback, now); got < c.want || got > c.want+max(0, c.want)/20 {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
