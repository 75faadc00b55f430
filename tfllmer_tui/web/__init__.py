"""`tfllmer tui --web`: the same app in a browser. Every page that is opened is a process of its own, whose terminal
travels over a websocket; textual-serve carries it, what is here decides who may connect and what a page may do."""
