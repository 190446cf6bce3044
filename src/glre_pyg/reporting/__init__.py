"""From runs to tables and plots: Tables 2 to 5, Figures 3 and 4, ours beside the paper's. No torch."""
