"""What is like this, and is it there at all?"""
