package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// console has the environment, the inputs and the outputs of a command.
type console struct {
	in       io.Reader
	piped    bool // in is no terminal
	out, err io.Writer
	getenv   func(string) string
	live     bool       // err is a terminal whose lines can be overwritten
	coloured bool       // out is a terminal that has colours
	width    func() int // of the terminal err in columns, 0 if it is not a terminal
	fold     int        // columns of the terminal out; 0 if it is not a terminal
}

// newConsole returns the console of this process.
func newConsole() console {
	dumb := os.Getenv("TERM") == "dumb"
	fold, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		fold = 0
	}
	return console{
		in: os.Stdin, piped: !device(os.Stdin), out: os.Stdout, err: os.Stderr, getenv: os.Getenv,
		live:     term.IsTerminal(int(os.Stderr.Fd())) && !dumb,
		coloured: term.IsTerminal(int(os.Stdout.Fd())) && !dumb && os.Getenv("NO_COLOR") == "",
		fold:     fold,
		width: func() int {
			w, _, err := term.GetSize(int(os.Stderr.Fd()))
			if err != nil {
				return 0
			}
			return w
		},
	}
}

// device reports whether f is a terminal or another device, from which no files come.
func device(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// columns is the largest width of a line of progress.
const columns = 80

// room returns the number of columns that a line may take without a line break. The last
// column of a terminal is not used, since some terminals break the line after it.
func (c console) room() int {
	w := columns
	if c.width != nil {
		if have := c.width(); have > 0 {
			w = min(w, have)
		}
	}
	return max(1, w-1)
}

// fit returns as many of the parts as fit into a line, the first one in any case.
func fit(room int, parts ...string) string {
	line := []rune(parts[0])
	for _, part := range parts[1:] {
		if more := []rune("  " + part); part != "" && len(line)+len(more) <= room {
			line = append(line, more...)
		}
	}
	return string(line[:min(len(line), room)])
}

// indent is the width of the names that lines of reports begin with.
const indent = 10

// folded breaks lines that are longer than a width between words. A width of less than
// 40 breaks nothing.
func folded(text string, width int) string {
	if width < 4*indent {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		for rest := []rune(strings.TrimSuffix(line, "\n")); ; {
			at := len(rest)
			if at > width {
				for at = width; at > indent && rest[at] != ' '; {
					at--
				}
			}
			if at <= indent { // one long word
				at = len(rest)
			}
			b.WriteString(strings.TrimRight(string(rest[:at]), " "))
			if at == len(rest) {
				break
			}
			b.WriteString("\n")
			rest = append([]rune(strings.Repeat(" ", indent)), rest[at+1:]...)
		}
		if strings.HasSuffix(line, "\n") {
			b.WriteString("\n")
		}
	}
	return b.String()
}

// show prints a text whose first line is a verdict: green for 0, red for a breach, yellow
// for the other exit codes.
func (c console) show(text string, code int) {
	text = folded(text, c.fold)
	if first, rest, _ := strings.Cut(text, "\n"); c.coloured {
		colour := map[int]string{0: "32", breached: "31"}[code]
		text = "\x1b[1;" + cmp.Or(colour, "33") + "m" + first + "\x1b[0m\n" + rest
	}
	fmt.Fprintln(c.out, strings.TrimSuffix(text, "\n"))
}
