package cedar_test

import (
	"fmt"
	"log"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/access/cedar"
)

// Operators may do everything, but promote fully only with a recent second factor.
func ExampleParse() {
	policy, err := cedar.Parse("policy.cedar", []byte(`
		permit (principal in Role::"sre", action, resource);

		@id("recent factor")
		forbid (principal, action == Action::"promote-fully", resource)
		unless { context has provedSecondsAgo && context.provedSecondsAgo < 300 };
	`))
	if err != nil {
		log.Fatal(err)
	}
	// Give policy.Authorize to rollout.Config.Authorize.
	ana := rollout.Actor{Name: "ana", Roles: []string{"sre"}}
	fmt.Println(policy.Explain(ana, "abort", "chat"))
	fmt.Println(policy.Explain(ana, "promote-fully", "chat"))

	_, err = cedar.Parse("policy.cedar", []byte(`permit (principal, action == Action::"launch", resource);`))
	fmt.Println(err != nil)
	// Output:
	// ana may abort on "chat": permitted by policy.cedar:2
	// ana may not promote-fully on "chat": a policy forbids it: recent factor
	// true
}
