"""The geometry of item tables side by side: `quantities` are its lines, `reading` finds what the store has of them,
`lines` puts them together and says which differences matter."""
