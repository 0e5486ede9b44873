package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/chat/store"
)

// dataFlag adds the flag of commands that keep what the chat must not forget. It is a flag of the
// gateway, in whose process the store is.
func (o *options) dataFlag(c *cobra.Command) {
	o.keepsChat = true
	c.Flags().StringVar(&o.data, "data", "",
		"`directory` where the chat keeps messages and names (default: in memory, until this process ends)")
	o.ofGateway = append(o.ofGateway, "data")
}

// openStore opens the store that the workers of the chat call, if the command has one. The caller
// closes it.
func (o *options) openStore(key []byte) (err error) {
	switch cfg := (store.Config{Logger: o.log}); {
	case !o.keepsChat:
		return nil
	case o.data == "":
		cfg.Secret = key // so that the tokens of people are valid after a restart
		o.store, err = store.New(cfg)
		return err
	default:
		if o.store, err = store.Open(o.data, cfg); err != nil {
			return fmt.Errorf("--data: %w", err)
		}
		o.log.Info("chat data", "directory", o.data)
		return nil
	}
}

// closeStore closes the store, if there is one, after the gateway has ended.
func (o *options) closeStore() {
	if o.store == nil {
		return
	}
	if err := o.store.Close(); err != nil {
		o.log.Error("chat data was not closed", "err", err)
	}
}
