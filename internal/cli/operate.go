package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/gateway/admin"
)

// operatorCommands are the commands over an admin listener.
func operatorCommands() []*cobra.Command {
	return []*cobra.Command{
		statusCommand(), topCommand(), statCommand(), clientsCommand(), clientCommand(), groupsCommand(), workersCommand(),
		kickCommand(), publishCommand(), drainCommand(), rebalanceCommand(), reloadCommand(),
		healthCommand(), logLevelCommand(),
		doctorCommand(),
	}
}

// oneArg requires one argument.
func oneArg(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("%d arguments: must be one, %s", len(args), what)}
		}
		return nil
	}
}

// targetFlags are the flags that name clients.
type targetFlags struct {
	uid, group string
	all        bool
}

// count returns how many of the flags, and of the argument for a client, are given.
func (t *targetFlags) count(args []string) (n int) {
	for _, given := range []bool{t.uid != "", t.group != "", t.all, len(args) > 0} {
		if given {
			n++
		}
	}
	return n
}

func kickCommand() *cobra.Command {
	var t targetFlags
	var code uint16
	var reason string
	c := operatorCommand(&cobra.Command{
		Use:   "kick [ID]",
		Short: "close a client, or those of a uid or a group",
		Long: `Close the client with an ID, or the clients of --uid, or those in --group, of one gateway. A WebSocket
gets the code and the reason in its close frame.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || t.count(args) != 1 {
				return usageError{errors.New("name one client by its id, or --uid, or --group")}
			}
			return nil
		},
	}, func(c *cobra.Command, a *adminClient, args []string) error {
		k := admin.Kick{UID: t.uid, Group: t.group, Code: code, Reason: reason}
		if len(args) > 0 {
			k.Client = args[0]
		}
		var answer admin.Kicked
		if err := a.call(c.Context(), http.MethodPost, "kick", k, &answer); err != nil {
			return err
		}
		return a.print(answer, func() error { return printf("kicked %d\n", answer.Kicked) })
	})
	f := c.Flags()
	f.StringVar(&t.uid, "uid", "", "`uid` whose clients are closed")
	f.StringVar(&t.group, "group", "", "`group` whose clients are closed")
	f.Uint16Var(&code, "code", 1000, "close `code` of WebSockets: 1000, or 3000 to 4999")
	f.StringVar(&reason, "reason", "", "`text` of the close frame, at most 123 bytes (default: kicked)")
	return c
}

func publishCommand() *cobra.Command {
	var t targetFlags
	var client string
	var local, binary bool
	c := operatorCommand(&cobra.Command{
		Use:   "publish TEXT",
		Short: "send a message to a client, a uid, a group or all",
		Long: `Send TEXT, or standard input if TEXT is -, to a client, to the clients of a uid, to those in a group, or
to all. Clients of other gateways get it too, except with --client or --local. The number is that of
the connections of this gateway.`,
		Args: oneArg("the text, or - for standard input"),
	}, func(c *cobra.Command, a *adminClient, args []string) error {
		var named []string
		if client != "" {
			named = []string{client}
		}
		if t.count(named) != 1 {
			return usageError{errors.New("give one of --client, --uid, --group and --all")}
		}
		text := args[0]
		if text == "-" {
			b, err := io.ReadAll(io.LimitReader(os.Stdin, maxAdminAnswer))
			if err != nil {
				return fmt.Errorf("standard input: %w", err)
			}
			text = string(b)
		}
		p := admin.Publish{Client: client, UID: t.uid, Group: t.group, All: t.all, Near: local}
		if binary {
			p.Data = []byte(text)
		} else {
			p.Text = &text
		}
		var answer admin.Published
		if err := a.call(c.Context(), http.MethodPost, "publish", p, &answer); err != nil {
			return err
		}
		return a.print(answer, func() error { return printf("delivered %d\n", answer.Delivered) })
	})
	f := c.Flags()
	f.StringVar(&client, "client", "", "`id` of a client")
	f.StringVar(&t.uid, "uid", "", "`uid` of a user")
	f.StringVar(&t.group, "group", "", "`group` of clients")
	f.BoolVar(&t.all, "all", false, "all clients")
	f.BoolVar(&local, "local", false, "only clients of this gateway")
	f.BoolVar(&binary, "binary", false, "send a binary message, not a text")
	return c
}

func drainCommand() *cobra.Command {
	return operatorCommand(&cobra.Command{
		Use: "drain", Short: "drain a gateway, which ends then, as SIGTERM does", Args: noArgs,
	}, func(c *cobra.Command, a *adminClient, _ []string) error {
		var answer admin.Draining
		if err := a.call(c.Context(), http.MethodPost, "drain", nil, &answer); err != nil {
			return err
		}
		return a.print(answer, func() error { return printf("draining\n") })
	})
}

func rebalanceCommand() *cobra.Command {
	var body admin.Rebalance
	c := operatorCommand(&cobra.Command{
		Use: "rebalance", Short: "move clients of a gateway to the workers that should have them", Args: noArgs,
	}, func(c *cobra.Command, a *adminClient, _ []string) error {
		var answer admin.Rebalancing
		if err := a.call(c.Context(), http.MethodPost, "rebalance", body, &answer); err != nil {
			return err
		}
		return a.print(answer, func() error { return printf("rebalancing in %d event loops\n", answer.Loops) })
	})
	c.Flags().IntVar(&body.Rate, "rate", 0, "`clients` a second that move; 0: --rebalance of the gateway, or else 100")
	return c
}

func reloadCommand() *cobra.Command {
	return operatorCommand(&cobra.Command{
		Use: "reload", Short: "make a gateway read its configuration again, as SIGHUP does", Args: noArgs,
	}, func(c *cobra.Command, a *adminClient, _ []string) error {
		var answer admin.Reloaded
		if err := a.call(c.Context(), http.MethodPost, "reload", nil, &answer); err != nil {
			return err
		}
		return a.print(answer, func() error { return printf("reloaded\n") })
	})
}

func logLevelCommand() *cobra.Command {
	return operatorCommand(&cobra.Command{
		Use:       "log-level [debug|info|warn|error]",
		Short:     "print the level of a gateway's log, or change it",
		ValidArgs: []string{"debug", "info", "warn", "error"},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("unexpected argument %q", args[1])}
			}
			return nil
		},
	}, func(c *cobra.Command, a *adminClient, args []string) error {
		method, body := http.MethodGet, any(nil)
		if len(args) > 0 {
			method, body = http.MethodPut, admin.LogLevel{Level: args[0]}
		}
		var answer admin.LogLevel
		if err := a.call(c.Context(), method, "log-level", body, &answer); err != nil {
			return err
		}
		return a.print(answer, func() error { return printf("%s\n", answer.Level) })
	})
}

// errNotReady is returned when a gateway is not ready.
var errNotReady = errors.New("not ready")

// health is what the command health prints with --json.
type health struct {
	OK     bool   `json:"ok"`
	Status int    `json:"status"`
	Reason string `json:"reason,omitempty"`
}

func healthCommand() *cobra.Command {
	var live bool
	c := operatorCommand(&cobra.Command{
		Use:   "health",
		Short: "exit with 0 if a gateway is ready, otherwise with 1",
		Long: `Ask /readyz, or with --live /livez, of a gateway. The exit code is 0 if it answers 200. It is 1 if it
answers something else, which is printed, or does not answer. No token is needed.`,
		Args: noArgs,
	}, func(c *cobra.Command, a *adminClient, _ []string) error {
		path := "/readyz"
		if live {
			path = "/livez"
		}
		r, err := http.NewRequestWithContext(c.Context(), http.MethodGet, a.url+path, nil)
		if err != nil {
			return err
		}
		answer, err := a.do(r)
		if err != nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
		if err != nil {
			return fmt.Errorf("%s: %w", a.url, err)
		}
		reason := oneLine(string(body))
		h := health{OK: answer.StatusCode == http.StatusOK, Status: answer.StatusCode}
		if !h.OK {
			h.Reason = reason
		}
		if err := a.print(h, func() error {
			if h.OK {
				return printf("%s\n", reason)
			}
			return nil
		}); err != nil || h.OK {
			return err
		}
		return fmt.Errorf("%w: %s", errNotReady, reason)
	})
	c.Flags().BoolVar(&live, "live", false, "ask whether it lives, not whether it is ready")
	return c
}

// pathOfClient is the path of a client in the API.
func pathOfClient(id string) string { return "clients/" + url.PathEscape(id) }
