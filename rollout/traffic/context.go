package traffic

import (
	"context"
	"net/http"
)

type contextKey uint8

const (
	unitKey contextKey = iota
	tenantKey
	conversationKey
	accountKey
	forwardedKey // that the headers about where a request came from are set
)

// WithUnit returns a context whose requests are assigned by unit. It is for services
// that know their user and send requests themselves: the name need not be written
// into a header, and leaves the process nowhere. [Config].Unit goes before it, and it
// goes before the header Serin-Unit.
func WithUnit(ctx context.Context, unit string) context.Context {
	return context.WithValue(ctx, unitKey, unit)
}

// WithTenant returns a context whose requests belong to a tenant, where
// [Config].Tenant is nil.
func WithTenant(ctx context.Context, tenant string) context.Context {
	return context.WithValue(ctx, tenantKey, tenant)
}

// WithConversation returns a context whose requests belong to a conversation, where
// [Config].Conversation is nil.
func WithConversation(ctx context.Context, conversation string) context.Context {
	return context.WithValue(ctx, conversationKey, conversation)
}

// from returns what a request's context says under a key, "" if nothing.
func from(key contextKey) func(*http.Request) string {
	return func(r *http.Request) string {
		v, _ := r.Context().Value(key).(string)
		return v
	}
}

// UnitOf returns the unit that [WithUnit] has put into the context of a request, or that
// its header Serin-Unit names, or "". It is what a nil [Config].Unit does. As Config.Unit
// it says as well that the router assigns by unit; see [Router.AssignsUnits].
func UnitOf(r *http.Request) string {
	if v, ok := r.Context().Value(unitKey).(string); ok {
		return v
	}
	return r.Header.Get(UnitHeader)
}
