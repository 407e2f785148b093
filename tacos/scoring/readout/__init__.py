"""What the scores of comparing calls say of each sample: means, a mixed model, Bradley-Terry."""
