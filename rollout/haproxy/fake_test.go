package haproxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/rollout/haproxy"
)

// fake is a Runtime API that fails on purpose. Its zero weights are blue 1,
// green 0.
type fake struct {
	addr     string
	mu       sync.Mutex
	weights  map[string]int
	commands []string
	answer   func(command string) (string, bool) // overrides, if it says so
}

func newFake(t *testing.T, answer func(string) (string, bool)) *fake {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{addr: l.Addr().String(), weights: map[string]int{"blue": 1, "green": 0}, answer: answer}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(c)
		}
	}()
	return f
}

func (f *fake) serve(c net.Conn) {
	defer c.Close()
	lines := bufio.NewScanner(c)
	if !lines.Scan() {
		return
	}
	command := lines.Text()
	f.mu.Lock()
	f.commands = append(f.commands, command)
	f.mu.Unlock()
	if f.answer != nil {
		if a, ok := f.answer(command); ok {
			if a == "hang" {
				_, _ = io.Copy(io.Discard, c)
			}
			_, _ = io.WriteString(c, a)
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	words := strings.Fields(command)
	switch {
	case strings.HasPrefix(command, "show servers state"):
		fmt.Fprint(c, "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight\n")
		for i, n := range []string{"blue", "green"} {
			fmt.Fprintf(c, "3 chat %d %s 127.0.0.1 2 0 %d\n", i, n, f.weights[n])
		}
	case strings.HasPrefix(command, "show stat"):
		fmt.Fprint(c, "# pxname,svname,cookie,mode,algo,\nchat,BACKEND,,http,roundrobin,\n\n")
	case strings.HasPrefix(command, "set weight chat/"):
		n, err := strconv.Atoi(words[3])
		if err == nil {
			f.weights[strings.TrimPrefix(words[2], "chat/")] = n
		}
	}
	fmt.Fprint(c, "\n")
}

func (f *fake) splitter(t *testing.T, timeout time.Duration) *haproxy.Splitter {
	s, err := haproxy.New(haproxy.Config{
		Network: "tcp", Address: f.addr, Backend: "chat", Timeout: timeout,
		Arms: map[string][]string{"1.4.0": {"blue"}, "1.5.0": {"green"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAFailureInTheMiddleIsUndone(t *testing.T) {
	f := newFake(t, func(command string) (string, bool) {
		return "Permission denied\n", command == "set weight chat/green 1"
	})
	s := f.splitter(t, time.Minute)
	var refused *haproxy.CommandError
	if err := s.SetSplit(t.Context(), split(500)); !errors.As(err, &refused) || refused.Answer != "Permission denied" {
		t.Errorf("got %v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if diff := cmp.Diff(map[string]int{"blue": 1, "green": 0}, f.weights); diff != "" {
		t.Errorf("weights (-want +got):\n%s\nafter %q", diff, f.commands)
	}
}

func TestWhatIsReadBackIsBelieved(t *testing.T) {
	f := newFake(t, func(command string) (string, bool) {
		return "\n", command == "set weight chat/green 1" // says yes and does nothing
	})
	var mismatch *haproxy.MismatchError
	err := f.splitter(t, time.Minute).SetSplit(t.Context(), split(500))
	if !errors.As(err, &mismatch) {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff(&haproxy.MismatchError{Server: "chat/green", Want: 1, Got: 0}, mismatch); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnswersThatMakeNoSense(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing":        "",
		"another format": "2\n# a b\n",
		"no columns":     "1\n# be_name srv_name\nchat blue\n",
		"short line":     "1\n# be_name srv_name srv_admin_state srv_uweight\nchat blue\n",
		"no number":      "1\n# be_name srv_name srv_admin_state srv_uweight\nchat blue 0 many\n",
		"endless":        strings.Repeat("x", 5<<20),
	} {
		f := newFake(t, func(command string) (string, bool) { return answer, strings.HasPrefix(command, "show servers") })
		var bad *haproxy.CommandError
		if err := f.splitter(t, time.Minute).SetSplit(t.Context(), split(500)); !errors.As(err, &bad) || len(err.Error()) > 400 {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestASocketThatNeverAnswers(t *testing.T) {
	f := newFake(t, func(string) (string, bool) { return "hang", true })
	if err := f.splitter(t, 50*time.Millisecond).SetSplit(t.Context(), split(500)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
