package privacy_test

import (
	"fmt"

	"github.com/serin-go/serin/rollout/privacy"
)

func ExampleRedactor() {
	r, err := privacy.NewRedactor(privacy.Config{
		Operators: map[privacy.Kind]privacy.Operator{privacy.Card: privacy.Mask(4)},
		Detectors: []privacy.Detector{{Kind: "customer", Prefix: "C-", Of: "0123456789", Min: 6, Max: 6}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Text("Customer C-123456, alice@example.com, pays with 4111 1111 1111 1111."))
	// Output:
	// Customer [CUSTOMER], [EMAIL], pays with **** **** **** 1111.
}

// An address that comes in two pieces is found.
func ExampleStream() {
	r, err := privacy.NewRedactor(privacy.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := r.Stream()
	for _, token := range []string{"Write ", "to ", "alice", "@example", ".com", " today."} {
		fmt.Printf("%q ", s.Append(nil, []byte(token)))
	}
	fmt.Printf("%q\n", s.Flush(nil))
	// Output:
	// "Write " "to " "" "" "" "[EMAIL] " "today."
}
