"""Templates of our own for Deita's two models, in a file as upstream has them."""

complexity_template = "How hard is this task?\n{instruction}\nLevel, 1 to 6: "
quality_template = "Task:\n{instruction}\n\nReply:\n{output}\n\nGrade, 1 to 6: "
