package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// screen has the input, the outputs and the environment of a command.
type screen struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	terminal bool // in and out are terminals
	coloured bool // out is a terminal that has colours
	width    int  // columns of the terminal, 0 if there is no terminal
}

func newScreen() screen {
	width, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		width = 0
	}
	terminal := term.IsTerminal(int(os.Stdout.Fd()))
	return screen{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, width: width,
		terminal: terminal && term.IsTerminal(int(os.Stdin.Fd())),
		coloured: terminal && os.Getenv("TERM") != "dumb" && os.Getenv("NO_COLOR") == "",
	}
}

// plain returns s with a mark in the place of characters that do not show, so that no text
// from a server moves the cursor. Ends of lines stay.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' {
			return r
		}
		return '\uFFFD'
	}, s)
}

// line prints one line.
func (s screen) line(format string, args ...any) {
	fmt.Fprintln(s.out, plain(fmt.Sprintf(format, args...)))
}

// json prints v as one line of JSON.
func (s screen) json(v any) error {
	e := json.NewEncoder(s.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// strong returns s in bold and in a colour, if there are colours.
func (s screen) strong(text string, alarm bool) string {
	text = plain(text)
	switch {
	case !s.coloured:
		return text
	case alarm:
		return "\x1b[1;31m" + text + "\x1b[0m"
	}
	return "\x1b[1m" + text + "\x1b[0m"
}

// table prints rows whose columns are aligned. The last column is cut at the width of the
// terminal.
func (s screen) table(rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			row[i] = strings.ReplaceAll(plain(cell), "\n", " ")
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if i < len(row)-1 {
				widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
			}
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		text := []rune(strings.TrimRight(b.String(), " "))
		if s.width > 1 && len(text) > s.width {
			text = append(text[:s.width-1], '…')
		}
		fmt.Fprintln(s.out, string(text))
	}
}

// ask asks for a confirmation, on a terminal.
func (s screen) ask(question string) bool {
	fmt.Fprint(s.err, plain(question)+" [yes/no] ")
	answer, _ := bufio.NewReader(s.in).ReadString('\n')
	return strings.TrimSpace(answer) == "yes"
}
