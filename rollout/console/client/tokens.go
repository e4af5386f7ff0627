package client

import (
	"context"
	"net/http"
	"time"
)

// Token is a token of a program, such as a pipeline: what is asked for, and what is known of one
// that was issued.
type Token struct {
	// ID, Issued, By and Used are set by the server. Used is the last use, up to an hour less,
	// and zero before the first one.
	ID     string    `json:"id,omitempty"`
	Issued time.Time `json:"issued,omitzero"`
	By     Actor     `json:"by,omitzero"`
	Used   time.Time `json:"used,omitzero"`
	// Name is the name of the program.
	Name string `json:"name"`
	// Roles are what the program may act as: roles of the person who issues the token.
	Roles []string `json:"roles"`
	// Targets are where it may act, at least one, such as "chat", "chat-*" or "*".
	Targets []string `json:"targets"`
	// Until is when the token ends, up to 90 days from now.
	Until time.Time `json:"until"`
	// Secret is the token itself, in the answer that issues it alone.
	Secret string `json:"secret,omitempty"`
}

// Tokens returns up to 1,000 tokens: the caller's own, and other people's where the caller may
// configure every target of the token.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	var out struct {
		Tokens []Token `json:"tokens"`
	}
	_, err := c.do(ctx, get("tokens"), &out)
	return out.Tokens, err
}

// IssueToken issues a token with the name, roles, targets and end of t, and returns it with its
// Secret, which the server does not store. A token cannot issue another one: that is the problem
// [Forbidden]. An empty key is random; for a day, a repeated request with the key of the first one
// has the same answer.
func (c *Client) IssueToken(ctx context.Context, t Token, key string) (Token, error) {
	in := post(key, "tokens")
	in.body = t
	var out Token
	_, err := c.do(ctx, in, &out)
	return out, err
}

// RevokeToken ends a token, given by its ID.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: []string{"tokens", id}}, nil)
	return err
}
