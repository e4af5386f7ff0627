package burn_test

import (
	"context"
	"fmt"

	"github.com/serin-go/serin/checks/burn"
)

func ExampleBudget() {
	budget, err := burn.New(burn.Config{Objective: burn.MustObjective("99.9%"), Windows: burn.DefaultWindows()[:2]})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 2000 {
		budget.Record(i%50 != 0) // one request in fifty fails
	}
	res := budget.Check(context.Background())
	fmt.Println(res.Status)
	fmt.Println(res.Summary)
	// Output:
	// fail
	// page: 40 of 2000 requests bad in 1h, burn rate 20 above 14.4; page: 40 of 2000 requests bad in 6h, burn rate 20 above 6
}

// An alert that an outage could not set off is refused.
func ExampleNew() {
	_, err := burn.New(burn.Config{Objective: burn.MustObjective("90%"), Windows: burn.DefaultWindows()[:1]})
	fmt.Println(err)
	// Output: burn: Config.Windows[0].Spend is 200, want less, because at 90% a full outage does not reach a burn rate of 14.4
}
