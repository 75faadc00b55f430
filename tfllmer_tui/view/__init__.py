"""What the command line and the screens draw with: Rich renderables and the chart, from values that are ready to
draw. Nothing here opens a store or knows a command or a widget."""
