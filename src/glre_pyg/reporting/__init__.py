"""Tables, plots and error analyses of runs, pictures of graphs, and HTML for notebooks."""
