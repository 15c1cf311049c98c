"""What can be profiled: presets, directories, modules, users' files, Hugging Face configs."""
