// Package pagetest looks at HTML pages in Chromium: errors on the console, and violations
// of accessibility rules by axe-core.
package pagetest

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Accessible fails the test if axe-core finds a violation on the page, in a wide and in a
// narrow window, with a light and with a dark colour scheme. It skips the test without
// Chromium or without the npm package axe-core in the folder SERIN_NODE_MODULES.
func Accessible(t *testing.T, page []byte) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("install chromium to look at the page")
	}
	axe, err := os.ReadFile(filepath.Join(os.Getenv("SERIN_NODE_MODULES"), "axe-core", "axe.min.js"))
	if err != nil {
		t.Skip("install axe-core with npm, and set SERIN_NODE_MODULES to the folder node_modules")
	}
	end := []byte("</body>")
	if bytes.Count(page, end) != 1 {
		t.Fatal("the page has no body")
	}
	script := "<script>" + strings.ReplaceAll(string(axe), "</script>", `<\/script>`) + `</script><script>
axe.run().then(r => { document.title = JSON.stringify({passes: r.passes.length, violations: r.violations.map(v => v.id + ": " + v.nodes.map(n => n.html).join(" "))}) })
</script></body>`
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, bytes.Replace(page, end, []byte(script), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, size := range []string{"1100,1200", "390,1800"} {
		for _, scheme := range []string{"0", "1"} { // dark, light
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			cmd := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
				"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+Profile(t),
				"--window-size="+size, "--blink-settings=preferredColorScheme="+scheme, "--virtual-time-budget=20000", "--dump-dom", "file://"+file)
			dom, err := cmd.Output()
			cancel()
			if err != nil {
				t.Skipf("chromium does not run here: %v", err)
			}
			_, title, _ := strings.Cut(string(dom), "<title>")
			title, _, _ = strings.Cut(title, "</title>")
			var found struct {
				Passes     int
				Violations []string
			}
			if err := json.Unmarshal([]byte(html.UnescapeString(title)), &found); err != nil || found.Passes == 0 {
				t.Fatalf("axe-core has not finished: %v, title %.200q", err, title)
			}
			for _, v := range found.Violations {
				t.Errorf("window %s, colour scheme %s: %s", size, scheme, v)
			}
		}
	}
}

// AllAccessible fails the test if axe-core finds a violation on any of the pages, given by
// name, in frames of 320, 640 and 1280 px, with a light and with a dark colour scheme, or if a page
// is wider than its frame. 640 px are what a window of 1280 px has at a zoom of 200 %. It takes one start of Chromium for each frame and scheme. It skips
// the test as [Accessible] does.
func AllAccessible(t *testing.T, pages map[string][]byte) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("install chromium to look at the pages")
	}
	axe, err := os.ReadFile(filepath.Join(os.Getenv("SERIN_NODE_MODULES"), "axe-core", "axe.min.js"))
	if err != nil {
		t.Skip("install axe-core with npm, and set SERIN_NODE_MODULES to the folder node_modules")
	}
	inner := "<script>" + strings.ReplaceAll(string(axe), "</script>", `<\/script>`) + `</script><script>
axe.run().then(r => {
 const wide = document.documentElement.scrollWidth > innerWidth ? ["wider than the frame: " + document.documentElement.scrollWidth + " px"] : [];
 parent.postMessage({passes: r.passes.length, violations: wide.concat(r.violations.map(v => v.id + ": " + v.nodes.map(n => n.html).join(" ")))}, "*")
})</script></body>`
	names := slices.Sorted(maps.Keys(pages))
	var bodies []string
	for _, name := range names {
		bodies = append(bodies, strings.Replace(string(pages[name]), "</body>", inner, 1))
	}
	data, err := json.Marshal(bodies)
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []string{"320", "640", "1280"} {
		outer := `<!doctype html><title>running</title><body><script type="application/json" id="pages">` + string(data) + `</script><script>
const pages = JSON.parse(document.getElementById("pages").textContent), found = [];
const next = () => {
 if (found.length === pages.length) { document.title = JSON.stringify(found); return }
 const f = document.createElement("iframe"); f.width = ` + width + `; f.height = 900; f.srcdoc = pages[found.length];
 onmessage = e => { found.push(e.data); f.remove(); next() };
 document.body.append(f);
};
next();
</script>`
		file := filepath.Join(t.TempDir(), "pages.html")
		if err := os.WriteFile(file, []byte(outer), 0o600); err != nil {
			t.Fatal(err)
		}
		schemes := []string{"0", "1"} // dark, light
		if width == "640" {
			schemes = schemes[1:] // colours are the same at each zoom
		}
		for _, scheme := range schemes {
			look(t, chromium, file, width, scheme, names)
		}
	}
}

// look reports what axe-core has found on the pages of a file.
func look(t *testing.T, chromium, file, width, scheme string, names []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+Profile(t),
		"--window-size=1400,1200", "--blink-settings=preferredColorScheme="+scheme, "--virtual-time-budget=600000", "--dump-dom", "file://"+file)
	dom, err := cmd.Output()
	if err != nil {
		t.Skipf("chromium does not run here: %v", err)
	}
	_, title, _ := strings.Cut(string(dom), "<title>")
	title, _, _ = strings.Cut(title, "</title>")
	var found []struct {
		Passes     int
		Violations []string
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(title)), &found); err != nil || len(found) != len(names) {
		t.Fatalf("axe-core has not finished: %v, title %.200q", err, title)
	}
	for i, f := range found {
		if f.Passes == 0 {
			t.Errorf("%s: axe-core has looked at nothing", names[i])
		}
		for _, v := range f.Violations {
			t.Errorf("%s, %s px, colour scheme %s: %s", names[i], width, scheme, v)
		}
	}
}
