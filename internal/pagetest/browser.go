package pagetest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// Browser is a Chromium that is driven through the Chrome DevTools protocol, by pipes. Its
// methods are safe for concurrent use.
type Browser struct {
	t    *testing.T
	in   *os.File
	mu   sync.Mutex
	next int
	wait map[int]chan answer
	said map[string][]string // messages of the console and of security policies, by session
}

type answer struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// Profile returns a new folder for the profile of a Chromium, which is removed after the
// test. Processes that Chromium leaves behind may still write to it, and may keep something.
func Profile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 10 {
			if os.RemoveAll(dir) == nil {
				return
			}
		}
	})
	return dir
}

// Open starts a browser, which ends with the test. It skips the test without Chromium.
func Open(t *testing.T) *Browser {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("install chromium to look at the page")
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+Profile(t), "--remote-debugging-pipe")
	cmd.ExtraFiles = []*os.File{theirs, to} // they become 3 and 4
	if err := cmd.Start(); err != nil {
		t.Skipf("chromium does not run here: %v", err)
	}
	theirs.Close()
	to.Close()
	b := &Browser{t: t, in: ours, wait: make(map[int]chan answer), said: make(map[string][]string)}
	go b.read(from)
	t.Cleanup(func() {
		ours.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		from.Close()
	})
	return b
}

// read reads answers and events until the browser ends.
func (b *Browser) read(from *os.File) {
	r := bufio.NewReaderSize(from, 1<<20)
	for {
		line, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			answer
			ID        int
			Method    string
			SessionID string
			Params    struct {
				Entry struct{ Source, Level, Text string }
			}
		}
		if json.Unmarshal(line[:len(line)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		if c := b.wait[m.ID]; c != nil {
			delete(b.wait, m.ID)
			c <- m.answer
		} else if m.Method == "Log.entryAdded" && m.Params.Entry.Source != "network" {
			b.said[m.SessionID] = append(b.said[m.SessionID], m.Params.Entry.Level+": "+m.Params.Entry.Text)
		}
		b.mu.Unlock()
	}
}

// call calls a method of the protocol.
func (b *Browser) call(session, method string, params, result any) error {
	b.mu.Lock()
	b.next++
	id, c := b.next, make(chan answer, 1)
	b.wait[id] = c
	body, err := json.Marshal(struct {
		ID        int    `json:"id"`
		SessionID string `json:"sessionId,omitempty"`
		Method    string `json:"method"`
		Params    any    `json:"params,omitempty"`
	}{id, session, method, params})
	if err == nil {
		_, err = b.in.Write(append(body, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case a := <-c:
		if a.Error != nil {
			return fmt.Errorf("%s: %s", method, a.Error.Message)
		}
		if result != nil {
			return json.Unmarshal(a.Result, result)
		}
		return nil
	case <-time.After(time.Minute):
		return errors.New(method + ": no answer in a minute")
	case <-b.t.Context().Done():
		return b.t.Context().Err()
	}
}

// Tab is one page of a browser. Its methods fail the test if the browser refuses.
type Tab struct {
	b       *Browser
	session string
}

// Tab opens a page that sends the given headers with each request.
func (b *Browser) Tab(header map[string]string) *Tab {
	b.t.Helper()
	var target struct{ TargetID string }
	var attached struct{ SessionID string }
	err := b.call("", "Target.createTarget", map[string]any{"url": "about:blank", "newWindow": true}, &target)
	if err == nil {
		err = b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	}
	if err != nil {
		b.t.Skipf("chromium does not run here: %v", err)
	}
	tab := &Tab{b: b, session: attached.SessionID}
	for _, method := range []string{"Page.enable", "Log.enable", "Network.enable"} {
		tab.Do(method, nil)
	}
	tab.Do("Network.setExtraHTTPHeaders", map[string]any{"headers": header})
	return tab
}

// Do calls a method of the protocol for the page.
func (p *Tab) Do(method string, params any) {
	p.b.t.Helper()
	if params == nil {
		params = struct{}{}
	}
	if err := p.b.call(p.session, method, params, nil); err != nil {
		p.b.t.Fatal(err)
	}
}

// Go opens an address.
func (p *Tab) Go(url string) {
	p.b.t.Helper()
	p.Do("Page.navigate", map[string]any{"url": url})
}

// Eval returns the value of an expression as text. It is evaluated by the debugger, so also
// where scripts of the page are not.
func (p *Tab) Eval(expression string) string {
	p.b.t.Helper()
	var r struct{ Result struct{ Value any } }
	err := p.b.call(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &r)
	if err != nil || r.Result.Value == nil {
		return ""
	}
	return fmt.Sprint(r.Result.Value)
}

// Until waits up to a minute until an expression is true, and returns how long that took.
func (p *Tab) Until(expression string) time.Duration {
	p.b.t.Helper()
	began := time.Now()
	for time.Since(began) < time.Minute {
		if p.Eval("Boolean("+expression+")") == "true" {
			return time.Since(began)
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.b.t.Fatalf("it never was true: %s; the page says %.600s", expression, p.Eval("document.body.innerText"))
	return 0
}

// Tap taps the first element of a selector where a finger would.
func (p *Tab) Tap(selector string) {
	p.b.t.Helper()
	p.Until("document.querySelector(" + quote(selector) + ")")
	var at struct{ Result struct{ Value []float64 } }
	err := p.b.call(p.session, "Runtime.evaluate", map[string]any{"returnByValue": true,
		"expression": "(() => { const e = document.querySelector(" + quote(selector) + "); e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()"}, &at)
	if err != nil || len(at.Result.Value) != 2 {
		p.b.t.Fatalf("%s cannot be tapped: %v", selector, err)
	}
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		p.Do("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at.Result.Value[0], "y": at.Result.Value[1], "button": "left", "clickCount": 1})
	}
}

// Press presses a key, such as "Tab" or "Enter".
func (p *Tab) Press(key string) {
	p.b.t.Helper()
	code := map[string]int{"Tab": 9, "Enter": 13}[key]
	text := map[string]string{"Enter": "\r"}[key]
	p.Do("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text})
	p.Do("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code})
}

// Said returns what the page's console has said, such as violations of its security policy.
func (p *Tab) Said() []string {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return append([]string(nil), p.b.said[p.session]...)
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}
