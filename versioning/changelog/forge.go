package changelog

import (
	"fmt"
	"net/url"
	"strings"
)

// Forge is the kind of server that hosts a repository. It decides the form of links.
type Forge string

// The forges whose links are known.
const (
	GitHub    Forge = "github"
	GitLab    Forge = "gitlab"
	Gitea     Forge = "gitea" // Forgejo and Codeberg too
	Bitbucket Forge = "bitbucket"
)

// ForgeOf guesses the forge from the URL of a repository. Unknown hosts count as
// GitHub.
func ForgeOf(repository string) Forge {
	host := strings.ToLower(repository)
	if u, err := url.Parse(repository); err == nil && u.Host != "" {
		host = strings.ToLower(u.Host)
	}
	for _, known := range []struct {
		word  string
		forge Forge
	}{{"gitlab", GitLab}, {"bitbucket", Bitbucket}, {"gitea", Gitea}, {"forgejo", Gitea}, {"codeberg", Gitea}} {
		if strings.Contains(host, known.word) {
			return known.forge
		}
	}
	return GitHub
}

// forgeLinks makes links to one repository. The zero value makes none.
type forgeLinks struct {
	base  string
	forge Forge
}

func newForgeLinks(repository string, forge Forge) (forgeLinks, error) {
	base := strings.TrimSuffix(strings.TrimRight(repository, "/"), ".git")
	if base == "" || strings.ContainsAny(base, " \t\r\n<>()") {
		return forgeLinks{}, fmt.Errorf("changelog: repository URL: invalid (have %q, want one such as https://example.com/owner/name)", repository)
	}
	if forge == "" {
		forge = ForgeOf(base)
	}
	switch forge {
	case GitHub, GitLab, Gitea, Bitbucket:
	default:
		return forgeLinks{}, fmt.Errorf("changelog: forge: unknown (have %q, want %s, %s, %s or %s)", forge, GitHub, GitLab, Gitea, Bitbucket)
	}
	return forgeLinks{strings.TrimSuffix(base, "/-"), forge}, nil
}

func (f forgeLinks) compare(from, to string) string {
	switch f.forge {
	case GitLab:
		return f.base + "/-/compare/" + from + "..." + to
	case Bitbucket:
		return f.base + "/branches/compare/" + to + "%0D" + from
	}
	return f.base + "/compare/" + from + "..." + to
}

func (f forgeLinks) tag(tag string) string {
	switch f.forge {
	case GitLab:
		return f.base + "/-/tags/" + tag
	case Bitbucket:
		return f.base + "/src/" + tag
	}
	return f.base + "/releases/tag/" + tag
}

func (f forgeLinks) commit(hash string) string {
	switch f.forge {
	case GitLab:
		return f.base + "/-/commit/" + hash
	case Bitbucket:
		return f.base + "/commits/" + hash
	}
	return f.base + "/commit/" + hash
}

// reference links to an issue or a pull request. In a header, the number in
// parentheses at the end is a pull request.
func (f forgeLinks) reference(number string, pull bool) string {
	switch {
	case f.forge == GitLab && pull:
		return f.base + "/-/merge_requests/" + number
	case f.forge == GitLab:
		return f.base + "/-/issues/" + number
	case f.forge == Gitea && pull:
		return f.base + "/pulls/" + number
	case f.forge == Bitbucket && pull:
		return f.base + "/pull-requests/" + number
	case f.forge == GitHub && pull:
		return f.base + "/pull/" + number
	}
	return f.base + "/issues/" + number
}

// linkReferences turns "#12" and, on GitLab, "!12" in escaped text into links.
func (f forgeLinks) linkReferences(text string) string {
	if f.base == "" || !strings.ContainsAny(text, "#!") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		if text[i] == '`' {
			if n := codeSpan(text[i:]); n > 0 {
				b.WriteString(text[i : i+n])
				i += n
				continue
			}
		}
		end := i + 1
		for end < len(text) && text[end]-'0' <= 9 {
			end++
		}
		begins := i == 0 || text[i-1] == ' ' || text[i-1] == '(' || text[i-1] == ','
		sign := text[i] == '#' || text[i] == '!' && f.forge == GitLab
		if !sign || !begins || end == i+1 || end < len(text) && alphanumeric(text[end]) {
			b.WriteByte(text[i])
			i++
			continue
		}
		pull := text[i] == '!' || f.forge != GitLab && i > 0 && text[i-1] == '(' && end+1 == len(text) && text[end] == ')'
		b.WriteString("[" + text[i:end] + "](" + f.reference(text[i+1:end], pull) + ")")
		i = end
	}
	return b.String()
}

// parse returns the repository, the tag and the forge of an existing link of a
// release, and whether its form is known.
func parseLink(target string) (links forgeLinks, tag string, ok bool) {
	for _, form := range []struct {
		mark  string
		forge Forge
	}{{"/-/compare/", GitLab}, {"/branches/compare/", Bitbucket}, {"/compare/", ""}} {
		base, compared, found := strings.Cut(target, form.mark)
		if !found {
			continue
		}
		links = forgeLinks{base, form.forge}
		if form.forge == "" {
			links.forge = GitHub
			if ForgeOf(base) == Gitea {
				links.forge = Gitea
			}
		}
		if form.forge == Bitbucket {
			_, tag, ok = strings.Cut(compared, "%0D")
			return links, tag, ok
		}
		tag, _, ok = strings.Cut(compared, "...")
		return links, tag, ok
	}
	return links, "", false
}
