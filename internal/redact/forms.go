package redact

import (
	"regexp"
	"strings"
)

// Form is the form of a key that its issuer marks with a prefix.
type Form struct {
	Prefix string
	// Min is the least number of letters, digits, '-' and '_' that follow the prefix.
	Min int
}

// Forms are the forms of keys that [Text] and package privacy recognise. Sources: the
// documentation of the issuers and the public rules of secret scanners.
var Forms = []Form{
	{"sk-", 16}, {"pk-", 16}, {"rk-", 16}, // OpenAI, Anthropic, DeepSeek, Langfuse
	{"sk_live_", 16}, {"sk_test_", 16}, {"rk_live_", 16}, {"rk_test_", 16}, {"pk_live_", 16}, {"pk_test_", 16}, {"whsec_", 16}, // Stripe
	{"ghp_", 16}, {"gho_", 16}, {"ghu_", 16}, {"ghs_", 16}, {"ghr_", 16}, {"github_pat_", 22}, // GitHub
	{"glpat-", 16}, {"gldt-", 16}, {"glrt-", 16}, // GitLab
	{"xoxa-", 10}, {"xoxb-", 10}, {"xoxp-", 10}, {"xoxr-", 10}, {"xoxs-", 10}, {"xapp-", 10}, // Slack
	{"AKIA", 16}, {"ASIA", 16}, // AWS
	{"AIza", 30}, {"GOCSPX-", 16}, // Google
	{"hf_", 30}, {"npm_", 30}, {"pypi-", 30}, {"gsk_", 30}, {"xai-", 30}, {"r8_", 30}, {"dop_v1_", 30}, // Hugging Face, npm, PyPI, Groq, xAI, Replicate, DigitalOcean
}

// loose is how many characters after a prefix [Text] takes for a key. An error may show a
// part of one.
const loose = 6

var keys = func() *regexp.Regexp {
	prefixes := make([]string, len(Forms))
	for i, f := range Forms {
		prefixes[i] = regexp.QuoteMeta(f.Prefix)
	}
	return regexp.MustCompile(`\b(?:` + strings.Join(prefixes, "|") + `)[\w-]{` + string(rune('0'+loose)) + `,}|\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?`)
}()
