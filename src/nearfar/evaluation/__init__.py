"""An owner's prompts on chosen deployments, scored and compared. It sends nothing itself and needs no NumPy."""
