package main

import (
	"context"
	"fmt"
	"strings"
)

// completion prints a script for a shell, which completes the names of commands and files.
func completion(_ context.Context, t *tool, args []string) error {
	rest, err := t.parse(t.flags("completion", ""), args, 1, 1)
	if err != nil {
		return err
	}
	write, ok := map[string]func() string{"bash": bash, "zsh": zsh, "fish": fish}[rest[0]]
	if !ok {
		return exit{wrongUse, fmt.Sprintf("unknown shell %q; want bash, zsh or fish", rest[0])}
	}
	fmt.Fprint(t.out, write())
	return nil
}

func commandNames() string {
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	return strings.Join(names, " ")
}

func bash() string {
	var cases strings.Builder
	for _, c := range commands() {
		if c.words != nil {
			fmt.Fprintf(&cases, "    %s) COMPREPLY=($(compgen -W %q -f -- \"$cur\")); return ;;\n", c.name, strings.Join(c.words, " "))
		}
	}
	return fmt.Sprintf(`# source <(ctl completion bash)
_ctl() {
  local cur=${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W %q -- "$cur"))
    return
  fi
  case ${COMP_WORDS[1]} in
%s  esac
  COMPREPLY=($(compgen -f -- "$cur"))
}
complete -F _ctl ctl
`, commandNames(), cases.String())
}

func zsh() string {
	var list, cases strings.Builder
	for _, c := range commands() {
		fmt.Fprintf(&list, "    '%s:%s'\n", c.name, c.does)
		if c.words != nil {
			fmt.Fprintf(&cases, "    %s) compadd -- %s; _files; return ;;\n", c.name, strings.Join(c.words, " "))
		}
	}
	return fmt.Sprintf(`#compdef ctl
# source <(ctl completion zsh)
_ctl() {
  local -a all
  all=(
%s  )
  if (( CURRENT == 2 )); then
    _describe command all
    return
  fi
  case ${words[2]} in
%s  esac
  _files
}
if (( $+functions[compdef] )); then
  compdef _ctl ctl
fi
`, list.String(), cases.String())
}

func fish() string {
	var b strings.Builder
	b.WriteString("# ctl completion fish | source\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "complete -c ctl -n __fish_use_subcommand -f -a %s -d '%s'\n", c.name, c.does)
		if c.words != nil {
			fmt.Fprintf(&b, "complete -c ctl -n '__fish_seen_subcommand_from %s' -a '%s'\n", c.name, strings.Join(c.words, " "))
		}
	}
	return b.String()
}
