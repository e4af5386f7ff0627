package console_test

import (
	"bytes"
	"context"
	"flag"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/internal/pagetest"
)

var shots = flag.String("shots", "", "write a screenshot of each state, width and colour scheme to this folder")

var sheet = regexp.MustCompile(`<link rel="stylesheet" href="([^"]*)">`)

// alone returns a page that needs no server: with its style in it, and without a script.
func (w *world) alone(path string) []byte {
	w.t.Helper()
	page := w.get(path)
	href := sheet.FindStringSubmatch(page)
	if href == nil {
		w.t.Fatalf("no style sheet on %s", path)
	}
	page = strings.Replace(page, href[0], "<style>"+w.get(href[1])+"</style>", 1)
	return []byte(regexp.MustCompile(`<script[^>]*></script>`).ReplaceAllString(page, ""))
}

// pages returns the page of the target in some states, and the other pages in one of them.
func pages(t *testing.T, names ...string) map[string][]byte {
	all := make(map[string][]byte)
	for _, name := range names {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t, everything)
			states[name](w)
			synctest.Wait()
			all[name] = w.alone("/chat")
			if name == "harming" {
				for _, path := range []string{"/", "/chat/1", "/chat/1/abort", "/chat/1/promote", "/chat/1/events", "/chat/1/events/2", "/chat/1/plan", "/chat/history", "/chat/audit", "/approvals", "/alerts", "/alerts/test/chat-room", "/checklists", "/checklists/deployment?target=chat", "/checklists/deployment/docs/vouch?target=chat", "/health", "/me", "/cost", "/plans", "/plans/next.yaml", "/find", "/find?q=nothing", "/help"} {
					all[path] = w.alone(path)
				}
			}
			if name == "approval" {
				all["approve"], all["checks"] = w.alone("/chat/1/approve"), w.alone("/chat/1/checks")
			}
		})
	}
	return all
}

// TestAccessible: axe-core finds no violation on any page, in light and dark, wide and narrow.
func TestAccessible(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes minutes")
	}
	pagetest.AllAccessible(t, pages(t, "shadow", "harming", "approval", "rolled back"))
}

// shoot takes a screenshot.
func shoot(t *testing.T, page []byte, file, size, scheme string) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("install chromium to look at the page")
	}
	source := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(source, page, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--user-data-dir="+pagetest.Profile(t),
		"--window-size="+size, "--blink-settings=preferredColorScheme="+scheme, "--screenshot="+file, "file://"+source)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("chromium does not run here: %v\n%s", err, out)
	}
}

// TestShots writes the screenshots of all states for people to look at.
//
//	go test ./rollout/console -run TestShots -shots /tmp/shots
func TestShots(t *testing.T) {
	if *shots == "" {
		t.Skip("no folder is named with -shots")
	}
	for name, page := range pages(t, slices.Collect(maps.Keys(states))...) {
		for _, size := range []string{"1280,900", "390,844"} {
			for scheme, n := range map[string]string{"dark": "0", "light": "1"} {
				width, _, _ := strings.Cut(size, ",")
				file := filepath.Join(*shots, strings.Trim(strings.NewReplacer("/", "-", " ", "-", "?", "-").Replace(name), "-")+"-"+width+"-"+scheme+".png")
				shoot(t, page, file, size, n)
			}
		}
	}
}

// TestPictures: the pictures of the README are of the live page, and small.
func TestPictures(t *testing.T) {
	if *update {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t, everything)
			states["harming"](w)
			synctest.Wait()
			page := w.alone("/chat")
			for scheme, n := range map[string]string{"dark": "0", "light": "1"} {
				shoot(t, page, filepath.Join("testdata", "live-"+scheme+".png"), "1000,760", n)
			}
		})
	}
	for _, scheme := range []string{"dark", "light"} {
		body, err := os.ReadFile(filepath.Join("testdata", "live-"+scheme+".png"))
		if err != nil {
			t.Fatal(err)
		}
		size, err := png.DecodeConfig(bytes.NewReader(body))
		if err != nil || size.Width != 1000 || len(body) > 150_000 {
			t.Errorf("%s: %v, %d px wide, %d bytes; want 1000 px and up to 150000 bytes", scheme, err, size.Width, len(body))
		}
	}
}
